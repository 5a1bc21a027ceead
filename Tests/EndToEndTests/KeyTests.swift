import CoordinatorAPI
import CoordinatorCore
import Foundation
import Testing
import WireFormat

/// Keys as an operator handles them, through the shipped executable.
@Suite("Keys, with real processes", .serialized) struct KeyTests {
  private struct Key: Decodable {
    var id: String
    var name: String
    var role: String
    var line: String?
  }

  private struct List: Decodable {
    var keys: [Key]
  }

  private func mode(_ path: String) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    return try #require((attributes[.posixPermissions] as? NSNumber)?.intValue)
  }

  @Test("a key is made before the first start, listed without its secret, and revoked by name")
  func life() throws {
    let run = try TestRun()
    let (key, path) = try run.makeKey("gpu-7", role: .worker)
    #expect(try mode(path) == 0o600)
    let stored = run.folder.appendingPathComponent("data/keys/\(key.id.hex)").path
    #expect(try mode(stored) == 0o600)
    #expect(try String(contentsOfFile: stored, encoding: .utf8) == key.line)
    let again = try Lethe.run(["key", "new", "--name", "gpu-7", "--run", run.runFile])
    #expect(again.status == 64 && again.errors.contains("already"))
    let shown: Key = try Lethe.json([
      "key", "new", "--name", "eye", "--role", "reader", "--run",
      run.runFile,
    ])
    #expect(shown.line.flatMap { PeerKey(line: $0) }?.role == .reader)
    let listing = try Lethe.run(["key", "list", "--run", run.runFile])
    #expect(listing.text.contains("gpu-7") && !listing.text.contains(key.secret.hexText))
    #expect(try Lethe.run(["key", "revoke", "gpu-7", "--run", run.runFile]).status == 0)
    #expect(!FileManager.default.fileExists(atPath: stored))
    #expect(try Lethe.run(["key", "revoke", "gpu-7", "--run", run.runFile]).status == 65)
    let list: List = try Lethe.json(["key", "list", "--run", run.runFile])
    #expect(list.keys.map(\.name) == ["eye"])
  }

  @Test("a key that others may read stops the start, which says chmod 600")
  func readable() throws {
    let run = try TestRun()
    let (key, _) = try run.makeKey("w", role: .worker)
    let stored = run.folder.appendingPathComponent("data/keys/\(key.id.hex)").path
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: stored)
    let refused = try run.refusedCoordinator()
    #expect(refused.status == 78 && refused.errors.contains("chmod 600"), "\(refused.errors)")
  }

  @Test("the local key is made with the run, once; backups and restores keep keys")
  func local() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let key = try run.localKey()
    #expect(key.role == .worker && key.name == "local")
    let backup = run.folder.appendingPathComponent("backup").path
    #expect(
      try Lethe.run(["backup", "--output", backup, "--run", run.runFile]).status == 0)
    #expect(try Lethe.run(["key", "revoke", "local", "--run", run.runFile]).status == 0)
    run.killCoordinator()
    try run.startCoordinator()
    let list: List = try Lethe.json(["key", "list", "--run", run.runFile])
    #expect(list.keys.isEmpty, "a revoked key stays revoked")
    run.killCoordinator()
    let kept = run.folder.appendingPathComponent("kept.key")
    try FileManager.default.copyItem(
      at: run.folder.appendingPathComponent("data/backup.key"), to: kept)
    try FileManager.default.removeItem(at: run.folder.appendingPathComponent("data"))
    let restored = try Lethe.run([
      "restore", "--from", backup, "--backup-key", kept.path, "--accept-unknown", "--run",
      run.runFile,
    ])
    #expect(restored.status == 0, "\(restored.errors)")
    #expect(try run.localKey() == key)
    try run.startCoordinator()
    #expect(try WireClient(run, key).hear().isWelcome)
    #expect(try Lethe.run(["verify", "--run", run.runFile]).status == 0, "nothing is a stray")
  }

  @Test("a revoked key's connection ends within a second, and it is told why")
  func revocation() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let (key, _) = try run.makeKey("w", role: .worker)
    let client = try WireClient(run, key)
    #expect(client.hear().isWelcome)
    let began = Date()
    #expect(try Lethe.run(["key", "revoke", key.id.hex, "--run", run.runFile]).status == 0)
    guard case .turnedAway(let refusal) = client.hear() else {
      Issue.record("it went on")
      return
    }
    #expect(refusal.cause == .revoked && Date().timeIntervalSince(began) < 3)
    #expect(client.hear() == nil)
    #expect(try WireClient(run, key).hear() == nil, "nor can it come back")
    #expect(try WireClient(run, try run.localKey()).hear().isWelcome, "others are not disturbed")
  }

  @Test("a reader sees how the run stands, and no partition, receipt, prediction or deletion")
  func reader() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let (_, path) = try run.makeKey("auditor", role: .reader)
    func lethe(_ arguments: String...) throws -> Lethe.Output {
      try Lethe.run(arguments + ["--token-file", path, "--run", run.runFile])
    }
    #expect(try lethe("status").status == 0)
    #expect(try lethe("deletions").status == 0)
    #expect(try lethe("ledger", "checkpoint").status == 0)
    for refused in [
      try lethe("lineage", "record", "r3"), try lethe("lineage", "shard", "0"),
      try lethe("delete", "r3"), try lethe("predict", "--text", "x"), try lethe("train"),
      try lethe("receipt", "show", "r3"),
    ] {
      #expect(refused.status == 78 && refused.errors.contains("reader"), "\(refused.errors)")
    }
    #expect(try run.status().deleted == 0)
    #expect(try Lethe.run(["key", "revoke", "auditor", "--run", run.runFile]).status == 0)
    #expect(try lethe("status").status == 78)
  }

  @Test("a key that cannot be handed over does not count")
  func lostKey() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let made = try Lethe.run([
      "key", "new", "--name", "gone", "--output", "/nowhere/gone.key", "--run", run.runFile,
    ])
    #expect(made.status == 73 && made.errors.contains("/nowhere/gone.key"))
    #expect(try !Lethe.run(["key", "list", "--run", run.runFile]).text.contains("gone"))
  }

  @Test("an operator's key does everything, a worker's nothing over HTTP")
  func operators() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let (_, path) = try run.makeKey("boss", role: .operator)
    let deleted = try Lethe.run(["delete", "r3", "--token-file", path, "--run", run.runFile])
    #expect(deleted.status == 0, "\(deleted.errors)")
    let local = run.folder.appendingPathComponent("data/local.key").path
    let refused = try Lethe.run(["status", "--token-file", local, "--run", run.runFile])
    #expect(refused.status == 78 && refused.errors.contains("token is missing or wrong"))
  }

  @Test("keys for HTTP and unknown keys are no use on the wire; serving keys do not train")
  func roles() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let reader = try run.makeKey("eye", role: .reader).key
    #expect(!(try WireClient(run, reader).hear().isWelcome))
    let serving = try run.makeKey("front", role: .serve).key
    #expect(!(try WireClient(run, serving).hear().isWelcome))
    #expect(try WireClient(run, serving, roles: [.serve]).hear().isWelcome)
    let stranger = try #require(
      PeerKey(
        id: reader.id, role: .worker, name: "x", secret: [UInt8](repeating: 1, count: 32)))
    #expect(!(try WireClient(run, stranger).hear().isWelcome))
  }

  @Test("development mode takes the known key on loopback, and refuses to listen elsewhere")
  func development() throws {
    let run = try TestRun(coordinator: "developmentMode: true")
    try run.startCoordinator()
    #expect(try WireClient(run, .development).hear().isWelcome)
    #expect(run.log.contains("development_mode"))
    run.killCoordinator()
    try run.edit("127.0.0.1:0", to: "0.0.0.0:0", first: true)
    let refused = try run.refusedCoordinator()
    #expect(refused.status == 78 && refused.errors.contains("everybody knows"))
    try run.edit("developmentMode: true", to: "developmentMode: false", first: true)
    try run.startCoordinator()
    #expect(!(try WireClient(run, .development).hear().isWelcome))
    #expect(try WireClient(run, try run.localKey()).hear().isWelcome)
    #expect(run.log.contains("listening_beyond_loopback"))
  }
}

extension WireMessage? {
  var isWelcome: Bool { if case .welcome = self { true } else { false } }
}

extension [UInt8] {
  fileprivate var hexText: String { map { String(format: "%02x", $0) }.joined() }
}
