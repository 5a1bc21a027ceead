import CoordinatorAPI
import Foundation
import Hashing
import TestKit
import Testing
import WireFormat

/// What a run keeps beside its journal, and what becomes of it when somebody takes or changes it.
@Suite("Lost and forged state, with real processes", .serialized) struct StateTests {
  private func lethe(_ run: TestRun, _ arguments: String...) throws -> Lethe.Output {
    try Lethe.run(arguments + ["--run", run.runFile])
  }

  private func path(_ run: TestRun, _ name: String) -> String {
    run.folder.appendingPathComponent(name).path
  }

  private func contents(_ path: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path))
  }

  private func write(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }

  // MARK: - Lines

  @Test(
    "an id with a separator in it is the one that is deleted; a byte order mark is no part of one")
  func ids() throws {
    let records = [
      #"{"id":"k\#u{2028}x","text":"one two","label":"a"}"#,
      #"{"id":"k","text":"three","label":"b"}"#, #"{"id":"x","text":"four","label":"b"}"#,
      #"{"id":"p0","text":"five","label":"c"}"#,
    ]
    let run = try TestRun(records: "\u{feff}" + records.joined(separator: "\r\n") + "\r\n")
    try run.startCoordinator()
    try write("k\u{2028}x\n", to: path(run, "ids"))
    let first: DeletionResponse = try Lethe.json(
      ["delete", "--from", path(run, "ids"), "--run", run.runFile])
    #expect(first.requests.map(\.id) == ["k\u{2028}x"])
    #expect(first.requests.map(\.outcome) == [.accepted])
    try write("\u{feff}p0\r\nx\r\n", to: path(run, "ids"))
    let second: DeletionResponse = try Lethe.json(
      ["delete", "--from", path(run, "ids"), "--run", run.runFile])
    #expect(second.requests.map(\.id) == ["p0", "x"])
    #expect(second.requests.allSatisfy { $0.outcome == .accepted })
    #expect(try run.status().records == 1)
  }

  // MARK: - Salts

  @Test("salts that are deleted, emptied or cut are noticed, and nobody says that they were erased")
  func salts() throws {
    let run = try TestRun()
    try run.startCoordinator()
    _ = try run.delete(["r1"], wait: "certified")
    _ = try run.delete(["r2"], wait: "certified")
    let whole = try contents(path(run, "data/salts"))
    #expect(try lethe(run, "receipt", "show", "r2").status == 0)
    let rows: [(String, (String) throws -> Void)] = [
      ("deleted", { try FileManager.default.removeItem(atPath: $0) }),
      ("emptied", { try Data().write(to: URL(fileURLWithPath: $0)) }),
      ("cut", { try whole.prefix(whole.count / 2).write(to: URL(fileURLWithPath: $0)) }),
      (
        "another's",
        { try Data(whole.map { $0 == 0x61 ? 0x62 : $0 }).write(to: URL(fileURLWithPath: $0)) }
      ),
    ]
    for (what, change) in rows {
      run.stop()
      try change(path(run, "data/salts"))
      try run.startCoordinator()
      try waitUntil("an alarm: \(what)", seen: try run.status()) {
        try run.status().alarms.contains { $0.contains("the file salts lacks") }
      }
      let receipt = try lethe(run, "receipt", "show", "r2")
      #expect(receipt.status == 69 && receipt.errors.contains("is lost"), "\(what)")
      #expect(!receipt.errors.contains("was erased"), "\(what)")
      #expect(try lethe(run, "verify").text.contains("the file salts lacks"), "\(what)")
      try whole.write(to: URL(fileURLWithPath: path(run, "data/salts")))
    }
    run.stop()
    try run.startCoordinator()
    #expect(try lethe(run, "receipt", "show", "r2").status == 0, "they are back")
    #expect(try lethe(run, "receipt", "erase-salt", "2").status == 0)
    #expect(try lethe(run, "receipt", "erase-salt", "2").status == 65, "once")
    for isRestarted in [false, true] {
      let erased = try lethe(run, "receipt", "show", "r2")
      #expect(erased.status == 65 && erased.errors.contains("was erased"), "\(erased.errors)")
      #expect(try run.status().alarms.isEmpty)
      guard !isRestarted else { break }
      run.stop()
      // A crash between the journal and the file: the start finishes what was asked.
      try whole.write(to: URL(fileURLWithPath: path(run, "data/salts")))
      try run.startCoordinator()
    }
    let left = String(decoding: try contents(path(run, "data/salts")), as: UTF8.self)
    #expect(!left.contains("2 ") || !left.split(separator: "\n").contains { $0.hasPrefix("2 ") })
  }

  // MARK: - Backups

  @Test("a backup is believed under a key that is not in it, and what nobody can know is said")
  func forgedBackup() throws {
    let run = try TestRun()
    try run.startCoordinator()
    _ = try run.delete(["r1"], wait: "certified")
    let backup = path(run, "backup")
    let made = try lethe(run, "backup", "--output", backup)
    #expect(made.status == 0 && made.text.contains("backup.key"), "\(made.errors)")
    try FileManager.default.copyItem(
      atPath: path(run, "data/backup.key"), toPath: path(run, "kept.key"))
    #expect(!FileManager.default.fileExists(atPath: "\(backup)/backup.key"))
    run.stop()
    try FileManager.default.removeItem(atPath: path(run, "data"))

    func restore(_ more: String...) throws -> Lethe.Output {
      try? FileManager.default.removeItem(atPath: path(run, "data"))
      return try Lethe.run(["restore", "--from", backup, "--run", run.runFile] + more)
    }
    let unknown = try restore()
    #expect(unknown.status == 78 && unknown.errors.contains("nobody can know who wrote"))
    let later = try restore("--backup-key", path(run, "kept.key"))
    #expect(later.status == 78 && later.errors.contains("is unknown: no journal survived"))
    #expect(later.errors.contains("--accept-unknown"))
    let whole = try restore("--backup-key", path(run, "kept.key"), "--accept-unknown")
    #expect(whole.status == 0 && !whole.text.contains("0 lost"), "\(whole.errors)")
    #expect(whole.text.contains("unknown") && !whole.text.contains("keys left out"))
    #expect(FileManager.default.fileExists(atPath: path(run, "data/local.key")))

    // Somebody who can write there adds a key of his own, and its digest.
    let key = try #require(
      PeerKey(
        id: KeyID([UInt8](repeating: 7, count: 16))!, role: .operator, name: "mallory",
        secret: [UInt8](repeating: 9, count: 32)))
    try write(key.line, to: "\(backup)/keys/\(key.id.hex)")
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o600], ofItemAtPath: "\(backup)/keys/\(key.id.hex)")
    let manifest = "\(backup)/manifest.json"
    var json = try #require(
      try JSONSerialization.jsonObject(with: contents(manifest)) as? [String: Any])
    var files = try #require(json["files"] as? [[String: Any]])
    files.append([
      "path": "keys/\(key.id.hex)", "bytes": key.line.utf8.count,
      "sha256": SHA256.hash(Array(key.line.utf8)).hex,
    ])
    json["files"] = files
    try JSONSerialization.data(withJSONObject: json).write(to: URL(fileURLWithPath: manifest))
    for more in [[], ["--accept-unknown"]] {
      try? FileManager.default.removeItem(atPath: path(run, "data"))
      let forged = try Lethe.run(
        ["restore", "--from", backup, "--backup-key", path(run, "kept.key"), "--run", run.runFile]
          + more)
      #expect(forged.status == 65 && forged.errors.contains("is not what this run wrote"))
    }
    // Nor is it live where nobody has the key, nor without a MAC, as an earlier build wrote it.
    json["mac"] = nil
    json["format"] = "lethe-backup-2"
    try JSONSerialization.data(withJSONObject: json).write(to: URL(fileURLWithPath: manifest))
    let unproved = try restore("--backup-key", path(run, "kept.key"))
    #expect(unproved.status == 78 && unproved.errors.contains("nobody can know who wrote"))
    let accepted = try restore("--accept-unknown")
    #expect(accepted.status == 0 && accepted.text.contains("keys left out"), "\(accepted.errors)")
    try run.startCoordinator()
    try write(key.line, to: path(run, "mallory.key"))
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o600], ofItemAtPath: path(run, "mallory.key"))
    let refused = try lethe(run, "status", "--token-file", path(run, "mallory.key"))
    #expect(refused.status == 78 && refused.errors.contains("token is missing or wrong"))
    #expect(try run.status().records == 59, "the deletion is in it")
  }

  // MARK: - Tombstones

  @Test("whom a run forgot stays forgotten in a new run over the same data")
  func tombstones() throws {
    let run = try TestRun()
    try run.startCoordinator()
    _ = try run.delete(["r1", "r2"], wait: "purged")
    // A changed recipe is a new run, and the sentence says what to take along.
    run.stop()
    try run.edit("epochs: 4", to: "epochs: 5")
    let changed = try run.refusedCoordinator()
    #expect(changed.status == 78 && changed.errors.contains("lethe tombstones export"))

    let next = path(run, "next.json5")
    let made = try Lethe.run([
      "init", "--from-run", run.runFile, "--name", path(run, "next"), "--output", next,
    ])
    #expect(made.status == 0 && made.text.contains("2 records deleted before"), "\(made.errors)")
    try check(next, in: run, deleted: ["r1", "r2"])

    // By hand, and on to a third run.
    let gone = path(run, "gone")
    #expect(
      try Lethe.run(["tombstones", "export", gone, "--run", next]).text.contains("2 deleted"))
    let third = path(run, "third.json5")
    #expect(
      try Lethe.run([
        "init", "--data", path(run, "records.jsonl"), "--backbone", Lethe.backbone, "--name",
        path(run, "third"), "--output", third,
      ]).status == 0)
    let whole = try contents(gone)
    try whole.dropLast(80).write(to: URL(fileURLWithPath: path(run, "cut")))
    let cut = try Lethe.run(["tombstones", "import", path(run, "cut"), "--run", third])
    #expect(cut.status == 65 && cut.errors.contains("not a whole file of tombstones"))
    #expect(try Lethe.run(["tombstones", "import", gone, "--run", third]).status == 0)
    try check(third, in: run, deleted: ["r1", "r2"])
    let late = try Lethe.run(["tombstones", "import", gone, "--run", third])
    #expect(late.status == 78 && late.errors.contains("has begun"))
  }

  private func check(_ runFile: String, in run: TestRun, deleted: [String]) throws {
    for _ in 0..<2 {
      let process = try Lethe.start(
        ["coordinator", "--run", runFile], log: run.folder.appendingPathComponent("log"))
      defer {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
      }
      try waitUntil("a coordinator") {
        try Lethe.run(["status", "--run", runFile]).status == 0
      }
      let status: RunStatus = try Lethe.json(["status", "--run", runFile])
      #expect(status.records == 60 - deleted.count && status.alarms.isEmpty)
      for id in deleted {
        let lineage = try Lethe.run(["lineage", "record", id, "--run", runFile])
        #expect(lineage.text.contains("deleted"), "\(lineage.text)")
      }
    }
  }

  // MARK: - Files

  @Test("a token that others may read and a folder that others may write to are refused")
  func modes() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let token = path(run, "data/token")
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: token)
    let client = try lethe(run, "status")
    #expect(client.status == 78 && client.errors.contains("chmod 600 \(token)"))
    run.stop()
    let start = try run.refusedCoordinator()
    #expect(start.status == 78 && start.errors.contains("chmod 600 \(token)"), "\(start.errors)")
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: token)
    let folder = path(run, "data")
    try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder)
    let open = try run.refusedCoordinator()
    #expect(open.status == 78 && open.errors.contains("chmod 700 \(folder)"), "\(open.errors)")
    try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: folder)
    try run.startCoordinator()
    #expect(try run.status().records == 60)
  }

  // MARK: - Who asked

  @Test("a deletion keeps who asked, under which ticket and why, beside ledger and receipt")
  func origins() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let (_, deleter) = try run.makeKey("desk", role: .deleter)
    let (_, reader) = try run.makeKey("eye", role: .reader)
    let deleted = try lethe(
      run, "delete", "r1", "--ticket", "T-17", "--reason", "asked by letter", "--wait", "certified",
      "--token-file", deleter)
    #expect(deleted.status == 0, "\(deleted.errors)")
    _ = try run.delete(["r2"], wait: "certified")
    let bad = try lethe(run, "delete", "r3", "--ticket", "a\u{1b}[2J")
    #expect(bad.status == 65 && bad.errors.contains("control characters"))
    for isRestarted in [false, true] {
      let list: DeletionList = try Lethe.json(["deletions", "--run", run.runFile])
      #expect(list.deletions.map(\.askedBy) == ["desk", "token"])
      #expect(list.deletions.map(\.ticket) == ["T-17", nil])
      #expect(list.deletions.map(\.reason) == ["asked by letter", nil])
      #expect(try lethe(run, "deletions").text.contains("T-17"))
      let seen: DeletionList = try Lethe.json(
        ["deletions", "--token-file", reader, "--run", run.runFile])
      #expect(seen.deletions.allSatisfy { $0.askedBy == nil && $0.ticket == nil })
      guard !isRestarted else { break }
      run.stop()
      try run.startCoordinator()
    }
    let receipt = try lethe(run, "receipt", "show", "r1")
    #expect(receipt.status == 0 && !receipt.text.contains("T-17") && !receipt.text.contains("desk"))
  }

  @Test("a key of each role gets what the table says, and nothing else")
  func roles() throws {
    let run = try TestRun()
    try run.startCoordinator()
    let verbs: [(words: [String], allowed: Set<KeyRole>)] = [
      (["status"], [.operator, .reader, .auditor, .deleter]),
      (["ledger", "checkpoint"], [.operator, .reader, .auditor, .deleter]),
      (["predict", "--text", "x"], [.operator, .predictor]),
      (["receipt", "show", "r1"], [.operator, .auditor, .deleter]),
      (["lineage", "shard", "0"], [.operator, .auditor]),
      (["verify"], [.operator, .auditor]),
      (["delete", "r59", "--dry-run"], [.operator, .deleter]),
      (["train"], [.operator]),
      (["receipt", "erase-salt", "9"], [.operator]),
      (["backup", "--output", path(run, "copy")], [.operator]),
    ]
    _ = try run.delete(["r1"], wait: "certified")
    for role in [KeyRole.reader, .predictor, .auditor, .deleter, .operator, .worker, .serve] {
      let (_, key) = try run.makeKey("key-\(role.rawValue)", role: role)
      for verb in verbs {
        let output = try Lethe.run(verb.words + ["--token-file", key, "--run", run.runFile])
        let isRefused =
          output.errors.contains("does not allow this")
          || output.errors.contains("token is missing or wrong")
        #expect(
          isRefused != verb.allowed.contains(role), "\(role) \(verb.words): \(output.errors)")
      }
    }
  }

  // MARK: - What is shown

  @Test("what somebody else named reaches no terminal as he wrote it")
  func visible() throws {
    let run = try TestRun()
    try run.edit("name: \"run\"", to: #"name: "run\u001b]0;x\u0007\n\u009bALARM: forged""#)
    try run.startCoordinator()
    for words in [["status"], ["status", "--format", "json"]] {
      let output = try Lethe.run(words + ["--run", run.runFile])
      #expect(output.status == 0, "\(output.errors)")
      let isClean = output.text.unicodeScalars.allSatisfy {
        $0 == "\n" || $0.properties.generalCategory != .control
      }
      #expect(isClean && output.text.contains("forged"), "\(output.text.debugDescription)")
      #expect(!output.text.split(separator: "\n").contains { $0.hasPrefix("ALARM") })
    }
    let failure = try lethe(run, "lineage", "block", "x\u{1b}[2J\u{9b}1m")
    #expect(failure.status != 0)
    #expect(
      failure.errors.unicodeScalars.allSatisfy {
        $0 == "\n" || $0.properties.generalCategory != .control
      }, "\(failure.errors.debugDescription)")
  }
}
