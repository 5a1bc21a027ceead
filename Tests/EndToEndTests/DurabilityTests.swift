import CoordinatorAPI
import CoordinatorCore
import Foundation
import TestKit
import Testing
import WireFormat

/// One finished system call of a traced process, in the order of their ends.
private struct SystemCall {
  let name: String
  let text: String

  /// The path that `strace -y` writes behind the descriptor.
  var file: String {
    guard let open = text.firstIndex(of: "<"), let close = text.firstIndex(of: ">"), open < close
    else { return "" }
    return String(text[text.index(after: open)..<close])
  }

  /// The paths among its arguments.
  var paths: [String] {
    text.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
      .filter { $0.offset % 2 == 1 }.map { String($0.element) }
  }

  var isSync: Bool { name == "fdatasync" || name == "fsync" }
  var isWrite: Bool { name == "pwrite64" || name == "write" }

  static func read(_ trace: String) -> [SystemCall] {
    var begun: [Substring: String] = [:]
    var calls: [SystemCall] = []
    for line in trace.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
      guard parts.count == 2 else { continue }
      var text = parts[1].trimmingCharacters(in: .whitespaces)
      if text.hasSuffix("<unfinished ...>") {
        begun[parts[0]] = String(text.dropLast("<unfinished ...>".count))
        continue
      }
      if text.hasPrefix("<... "), let end = text.range(of: "resumed>") {
        text = (begun.removeValue(forKey: parts[0]) ?? "") + text[end.upperBound...]
      }
      guard let open = text.firstIndex(of: "("), !text.contains("= -1 ") else { continue }
      calls.append(SystemCall(name: String(text[..<open]), text: text))
    }
    return calls
  }
}

@Suite("Durability, seen from the kernel", .serialized) struct DurabilityTests {
  static let canTrace =
    (try? Lethe.run(["-o", "/dev/null", "true"], executable: Lethe.strace).status) == 0

  @Test(
    "a deletion is answered once it is on disk twice, and every name once it is there for good",
    .enabled(if: canTrace, "NEEDS STRACE: ops/install-prerequisites"))
  func deletion() throws {
    let run = try TestRun()
    let trace = run.folder.appendingPathComponent("trace").path
    try run.startCoordinator(
      under: [
        "-D", "-f", "-y", "-s", "2000", "-o", trace, "-e",
        "trace=fdatasync,fsync,pwrite64,write,sendto,/^rename,/^unlink,mkdir",
      ])
    try run.startWorker()
    try waitUntil("a worker", seen: run.log) { try !run.status().workers.isEmpty }
    #expect(try run.delete(["r7"], wait: "purged")[0].outcome == .accepted)
    run.killCoordinator()
    let calls = SystemCall.read(try finishedTrace(trace))
    try checkOrder(calls)
    try checkErasure(calls)
    checkNames(calls, below: run.folder.path)
  }

  @Test(
    "blocks that many workers hand in at once are on disk before the journal names them",
    .enabled(if: canTrace, "NEEDS STRACE: ops/install-prerequisites"))
  func crowd() throws {
    let run = try TestRun(shards: 12)
    let trace = run.folder.appendingPathComponent("trace").path
    try run.startCoordinator(
      under: [
        "-D", "-f", "-y", "-s", "65536", "-o", trace, "-e",
        "trace=fdatasync,fsync,syncfs,pwrite64,/^rename",
      ])
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    let key = try run.localKey()
    let crowd = try (0..<12).map { try WireClient(run, key, name: "crowd-\($0)-") }
    for client in crowd { #expect(client.hear().isWelcome) }
    var grants: [LeaseGrant] = []
    for client in crowd { grants.append(try #require(try client.lease())) }
    // All at once: what they must hand in takes questions of its own.
    let blocks = try zip(crowd, grants).map { try $0.madeUp($1.assignment) }
    for index in crowd.indices { try crowd[index].upload(grants[index], blocks[index]) }
    for (client, grant) in zip(crowd, grants) {
      #expect(client.verdict() == .uploadAccepted(epoch: grant.epoch))
    }
    run.killCoordinator()
    var durableCount = 0
    var namedCount = 0
    var groupSyncCount = 0
    // Folders of names that are not there for good yet.
    var waiting: [String] = []
    for call in SystemCall.read(try finishedTrace(trace)) {
      if call.name.hasPrefix("rename"), let path = call.paths.last, path.contains("/artifacts/") {
        waiting.append(URL(filePath: path).deletingLastPathComponent().path)
      } else if call.name == "syncfs" {
        groupSyncCount += 1
        durableCount += waiting.count
        waiting = []
      } else if call.name == "fsync" {
        durableCount += waiting.count { $0 == call.file }
        waiting.removeAll { $0 == call.file }
      } else if call.isWrite, call.file.hasSuffix(".journal"), call.file.contains("journal-a") {
        // A block's entry has its worker's name in it.
        namedCount += call.text.components(separatedBy: "crowd-").count - 1
        #expect(namedCount <= durableCount, "the journal names blocks that are not durable")
      }
    }
    #expect(namedCount == crowd.count && groupSyncCount > 0, "\(namedCount) \(groupSyncCount)")
  }

  /// The trace's text, once the tracer has seen the process end.
  private func finishedTrace(_ trace: String) throws -> String {
    try awaited("the end of a trace", seen: trace) {
      let text = String(decoding: try Data(contentsOf: URL(filePath: trace)), as: UTF8.self)
      return text.contains("+++ killed by SIGKILL +++") ? text : nil
    }
  }

  /// Salt, copy A, copy B, reply: each durable before the next begins.
  private func checkOrder(_ calls: [SystemCall]) throws {
    func first(
      after start: Int, _ what: String, _ isIt: (SystemCall) -> Bool
    ) throws -> Int {
      try #require(calls.indices.first { $0 > start && isIt(calls[$0]) }, "no \(what)")
    }
    func folder(_ call: SystemCall) -> String {
      String(call.file.split(separator: "/").dropLast().last ?? "")
    }
    func isSegment(_ call: SystemCall) -> Bool { call.file.hasSuffix(".journal") }
    let salt = try first(after: -1, "salt") { $0.isWrite && $0.file.hasSuffix("/salts") }
    let saltPath = calls[salt].file
    let a = try first(after: salt, "copy A") { $0.isWrite && isSegment($0) }
    let b = try first(after: a, "copy B") {
      $0.isWrite && isSegment($0) && $0.file != calls[a].file
    }
    let reply = try first(after: salt, "reply") {
      ["write", "sendto"].contains($0.name) && $0.text.contains("accepted\\\"")
    }
    let aFolder = folder(calls[a])
    #expect(aFolder != folder(calls[b]))
    func hasSync(_ path: String, _ range: Range<Int>) -> Bool {
      calls[range].contains { $0.isSync && $0.file == path }
    }
    try #require(a < b && b < reply, "\(calls[a].text) \(calls[b].text) \(calls[reply].text)")
    #expect(hasSync(saltPath, salt..<a), "the salt was not durable before the deletion was")
    #expect(hasSync(calls[a].file, a..<b), "copy A was not durable before copy B was written")
    #expect(hasSync(calls[b].file, b..<reply), "copy B was not durable before the reply")
    // Length 97, frame type 73: the worker is told to forget. An effect, so after the entry.
    let forget = try first(after: -1, "forget") {
      ["write", "sendto"].contains($0.name) && $0.text.contains(#"a\0\0\0I"#)
    }
    try #require(b < forget, "a worker heard of a deletion that was not written")
    #expect(
      hasSync(calls[b].file, b..<forget), "a worker heard of a deletion before it was durable")
  }

  /// A purge overwrites the record, then its row, and each is on disk before the next step.
  private func checkErasure(_ calls: [SystemCall]) throws {
    func last(_ suffix: String) throws -> Int {
      try #require(calls.lastIndex { $0.isWrite && $0.file.hasSuffix(suffix) }, "no \(suffix)")
    }
    let (record, row) = (try last(".jsonl"), try last("records.table"))
    #expect(record < row && calls[record].name == "pwrite64" && calls[row].name == "pwrite64")
    func isSynced(_ write: Int, before end: Int) -> Bool {
      calls[write..<end].contains { $0.isSync && $0.file == calls[write].file }
    }
    #expect(isSynced(record, before: row), "a row went before its record was gone for good")
    let snapshot = try #require(
      calls.indices.first { $0 > row && calls[$0].isWrite && calls[$0].file.contains("journal-a") })
    #expect(isSynced(row, before: snapshot), "the purge went on before the row was gone for good")
  }

  /// What is renamed into place was synced after its last byte, and its directory afterwards, as
  /// every directory that gained or lost a name.
  private func checkNames(_ calls: [SystemCall], below folder: String) {
    func directory(_ path: String) -> String {
      URL(filePath: path).deletingLastPathComponent().path
    }
    for (index, call) in calls.enumerated() {
      guard call.name.hasPrefix("rename") || call.name.hasPrefix("unlink") || call.name == "mkdir",
        let path = call.paths.last, path.hasPrefix(folder)
      else { continue }
      let sync = calls[index...].firstIndex {
        $0.name == "fsync" && $0.file == directory(path)
      }
      // A later sync does not make up for one that the next step had to wait for.
      let next = calls[(index + 1)...].firstIndex {
        $0.name.hasPrefix("rename") && $0.paths.last.map(directory) == directory(path)
          || $0.isWrite && $0.file == path
      }
      let isDurable = sync.map { $0 < next ?? calls.endIndex } ?? false
      #expect(isDurable, "the directory was not synced after \(call.text)")
      guard call.name.hasPrefix("rename"), let source = call.paths.first else { continue }
      let last = calls[..<index].lastIndex { $0.isWrite && $0.file == source } ?? 0
      let isWhole = calls[last..<index].contains { $0.isSync && $0.file == source }
      #expect(isWhole, "the file was not synced before \(call.text)")
    }
  }
}
