import CoordinatorAPI
import CoordinatorCore
import Foundation
import SystemIO
import TestKit
import Testing
import WireFormat

/// Many workers at once. `LETHE_SCALE=500,4096` asks for so many connections and shards.
@Suite("Scale, with real sockets", .serialized) struct ScaleTests {
  private static let setting: [Int] = {
    let text = ProcessInfo.processInfo.environment["LETHE_SCALE"] ?? "64,32"
    return text.split(separator: ",").compactMap { Int($0) }
  }()

  @Test("workers by the dozen complete a run; the coordinator has one thread for all of them")
  func crowd() throws {
    let (count, shards) = (Self.setting[0], Self.setting[1])
    let run = try TestRun(shards: shards)
    try run.startCoordinator()
    let key = try run.localKey()
    let clients = try (0..<count).map { number in
      let client = try WireClient(run, key, name: "client-\(number)")
      #expect(client.hear().isWelcome)
      return client
    }
    let blocks = 4 * shards
    let left = Guarded(blocks)
    let ended = Promise<Bool>()
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    let began = SystemClock.seconds
    for client in clients {
      nonisolated(unsafe) let client = client
      BackgroundThread.start("client") {
        while let grant = try? client.lease() {
          guard let answer = try? client.complete(grant) else { break }
          // A straggler's block may have gone to another meanwhile.
          guard case .uploadAccepted = answer else { continue }
          let isLast = left.withLock { left in
            left -= 1
            return left == 0
          }
          if isLast { ended.fulfil(true) }
        }
      }
    }
    #expect(ended.wait(seconds: Pace.patience(quiet: 12)) == true, "\(run.log.suffix(2000))")
    let seconds = SystemClock.seconds - began
    let process = try #require(run.coordinator).processIdentifier
    let text = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    func value(_ field: String) throws -> Int {
      let line = text.split(separator: "\n").first { $0.hasPrefix(field) }
      return try #require(line.flatMap { Int($0.filter(\.isNumber)) })
    }
    let (resident, threads) = (try value("VmRSS"), try value("Threads"))
    print(
      "\(count) workers, \(blocks) blocks: \(Int(Double(blocks) / seconds)) cycles/s, coordinator "
        + "\(resident / 1024) MB, \(threads) threads")
    #expect(resident < 300 << 10 && threads < 40)
    #expect(try run.status().blocksTrained == blocks)
    for client in clients { client.close() }
  }
}
