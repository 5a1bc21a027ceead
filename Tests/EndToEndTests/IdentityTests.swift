import CoordinatorAPI
import CoordinatorCore
import Foundation
import Hashing
import Testing
import Unlearning
import WireFormat

/// Peers with a valid key that say more of themselves than is true.
@Suite("Self-declared identity, with real sockets", .serialized) struct IdentityTests {
  private func training() throws -> TestRun {
    let run = try TestRun()
    try run.startCoordinator()
    #expect(try Lethe.run(["train", "--run", run.runFile]).status == 0)
    return run
  }

  @Test("an invented ledger head puts nothing behind; the run's own goes on being believed")
  func heads() throws {
    let run = try training()
    let invented = AttestedHead(
      LedgerHead(size: 9_000, root: SHA256.hash([1])), tag: SHA256.hash([2]))
    let liar = try WireClient(run, try run.localKey(), name: "liar", head: invented)
    guard case .welcome(_, let own) = liar.hear() else {
      Issue.record("no welcome")
      return
    }
    #expect(own.head.size == 0)
    // The head that it was given, bent a little.
    let bent = AttestedHead(LedgerHead(size: 1, root: own.head.root), tag: own.tag)
    for head in [bent, own] {
      let client = try WireClient(run, try run.localKey(), head: head)
      #expect(client.hear().isWelcome)
      client.close()
    }
    #expect(try run.status().alarms.isEmpty)
    #expect(run.log.contains("head_ignored"))
    #expect(try liar.lease() != nil, "leases are granted")
  }

  @Test("no hello pins a class, and who waits is told why")
  func numericClass() throws {
    let run = try training()
    #expect(try WireClient(run, try run.localKey(), numericClass: "").hear().isWelcome == false)
    let first = try WireClient(run, try run.localKey(), numericClass: "invented")
    #expect(first.hear().isWelcome)
    _ = try #require(try first.lease())
    #expect(try run.status().numericClass == nil)
    let second = try WireClient(run, try run.localKey())
    #expect(second.hear().isWelcome)
    try second.say(.requestWork)
    var told: String?
    while told == nil, let message = second.hear() {
      if case .notice(let text) = message { told = text }
    }
    #expect(told?.contains("invented") == true && told?.contains(WireClient.numericClass) == true)
    first.close()
    var grant: LeaseGrant?
    while grant == nil, let message = second.hear() {
      if case .lease(let granted) = message { grant = granted }
    }
    _ = try second.complete(try #require(grant))
    #expect(try run.status().numericClass == WireClient.numericClass)
    let other = try Lethe.run(["train", "--class", "invented", "--run", run.runFile])
    #expect(other.status != 0 && other.errors.contains("blocks have been trained"))
  }

  @Test("the operator pins a class while nothing is trained")
  func operatorsClass() throws {
    let run = try training()
    for name in ["first", WireClient.numericClass] {
      #expect(try Lethe.run(["train", "--class", name, "--run", run.runFile]).status == 0)
      #expect(try run.status().numericClass == name)
    }
    let client = try WireClient(run, try run.localKey())
    #expect(client.hear().isWelcome)
    #expect(try client.lease() != nil)
  }

  @Test("slices and artifacts leave under the lease that reads them, for its holder alone")
  func reading() throws {
    let run = try training()
    let (key, _) = try run.makeKey("peeker", role: .worker)
    let holder = try WireClient(run, try run.localKey(), name: "holder")
    #expect(holder.hear().isWelcome)
    let grant = try #require(try holder.lease())
    let slice = try #require(grant.assignment.slices.first)
    let peeker = try WireClient(run, key, name: "peeker")
    #expect(peeker.hear().isWelcome)
    for client in [peeker, holder] {
      let isSlice =
        if case .slice = try client.ask(.fetchSlice(slice)) { true } else { false }
      #expect(isSlice == (client === holder))
    }
    let block = try holder.madeUp(grant.assignment)
    try holder.upload(grant, block)
    #expect(holder.verdict() == .uploadAccepted(epoch: grant.epoch))
    let artifact = SHA256.hash(block.artifact)
    for message in [WireMessage.fetchSlice(slice), .fetchArtifact(artifact)] {
      for client in [peeker, holder] {
        guard case .unavailable = try client.ask(message) else {
          Issue.record("\(message) was answered without a lease")
          continue
        }
      }
    }
  }

  @Test("a worker that fails everything at once gets few leases and few lines in the log")
  func hotLoop() throws {
    let run = try training()
    let client = try WireClient(run, try run.localKey())
    #expect(client.hear().isWelcome)
    var count = 0
    let began = Date()
    // Until its key has to rest for longer than this takes.
    while Date().timeIntervalSince(began) < 3 {
      try client.say(.failed(epoch: 77, Failure(kind: .fatal, reason: "a lease of nobody's")))
      guard let grant = try client.lease() else { break }
      count += 1
      try client.say(
        .failed(epoch: grant.epoch, Failure(kind: .fatal, reason: "no\u{1B}[2J\nforged line")))
    }
    #expect(count <= 12, "\(count) leases")
    #expect(run.log.components(separatedBy: "block_failed").count - 1 <= count)
    #expect(!run.log.contains("\u{1B}") && !run.log.contains("\nforged"))
    #expect(try run.status().waiting.keys.allSatisfy { !$0.hasPrefix("poisoned") })
  }
}
