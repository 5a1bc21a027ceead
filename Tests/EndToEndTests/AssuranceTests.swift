import CoordinatorAPI
import Foundation
import TestKit
import Testing

/// What a privacy engineer and an auditor do with a run, through the shipped executable.
@Suite("Assurance, with real processes", .serialized) struct AssuranceTests {
  /// Sixty records of twenty persons; `twin` says exactly what `r0` says.
  static let records =
    TestRun.records.enumerated().map { index, record in
      #"{"id":"\#(record.id)","text":"\#(record.text)","label":"\#(record.label)","#
        + #""subject":"person \#(index % 20)"}"# + "\n"
    }.joined()
    + #"{"id":"twin","text":"\#(TestRun.records[0].text)","label":"a"}"# + "\n"

  private func trained() throws -> TestRun {
    let run = try TestRun(records: Self.records)
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    return run
  }

  private func lethe(_ run: TestRun, _ arguments: String...) throws -> Lethe.Output {
    try Lethe.run(arguments + ["--run", run.runFile])
  }

  private func path(_ run: TestRun, _ name: String) -> String {
    run.folder.appendingPathComponent(name).path
  }

  @Test("a plan says what a deletion then does, changes nothing, and goes stale")
  func plan() throws {
    let run = try trained()
    let dry = try lethe(run, "delete", "r3", "--dry-run", "--format", "json")
    #expect(dry.status == 2)
    let plan = try JSONDecoder().decode(DeletionPlanReport.self, from: Data(dry.text.utf8))
    #expect(plan.ids == ["r3"] && plan.stagePasses > 0 && plan.secondsToRepair != nil)
    #expect(try run.status().deleted == 0)
    try Data(dry.text.utf8).write(to: URL(fileURLWithPath: path(run, "plan.json")))
    let done = try lethe(run, "delete", "--plan", path(run, "plan.json"), "--format", "json")
    let items = try JSONDecoder().decode(DeletionResponse.self, from: Data(done.text.utf8))
    #expect(items.requests.map(\.blocksMasked) == [plan.blocksMasked])
    let stale = try lethe(run, "delete", "--plan", path(run, "plan.json"))
    #expect(stale.status == 75 && stale.errors.contains("changed"))
    #expect(try lethe(run, "delete", "nobody", "--dry-run").status == 65)
  }

  @Test("a person and exact duplicates can be named; a key repeats an answer; a date is set")
  func selection() throws {
    let run = try trained()
    let first = try run.delete(["r0"])
    #expect(first[0].duplicatesElsewhere == 1 && first[0].due != nil)
    let twin = try lethe(
      run, "delete", "r20", "--subject", "person 0", "--idempotency-key", "k", "--format", "json",
      "--deadline", "days:3")
    let items = try JSONDecoder().decode(DeletionResponse.self, from: Data(twin.text.utf8))
    #expect(items.requests.map(\.id) == ["r20", "r40"])
    #expect(items.requests.allSatisfy { $0.outcome == .accepted })
    let again = try lethe(run, "delete", "r20", "r40", "--idempotency-key", "k")
    #expect(again.status == 0 && again.text.contains("accepted"))
    let other = try lethe(run, "delete", "r5", "--idempotency-key", "k")
    #expect(other.status == 65 && other.errors.contains("other records"))
    #expect(try lethe(run, "delete", "--subject", "person 0").status == 65)
  }

  @Test("duplicates go with the record they repeat")
  func duplicates() throws {
    let run = try trained()
    let output = try lethe(run, "delete", "twin", "--duplicates", "--format", "json")
    let items = try JSONDecoder().decode(DeletionResponse.self, from: Data(output.text.utf8))
    #expect(items.requests.map(\.id) == ["twin", "r0"])
  }

  @Test("a receipt verifies offline, and a checkpoint can be signed and linked to later ones")
  func receipts() throws {
    let run = try trained()
    #expect(try run.delete(["r3"], wait: "certified")[0].state == "certified")
    let (receipt, head) = (path(run, "receipt.json"), path(run, "head"))
    #expect(try lethe(run, "receipt", "show", "r3", "--output", receipt).status == 0)
    #expect(try lethe(run, "ledger", "checkpoint", "--output", head).status == 0)
    _ = try run.delete(["r4"], wait: "certified")
    #expect(
      try lethe(run, "ledger", "prove", "--from", "2", "--output", path(run, "proof")).status == 0)
    #expect(try lethe(run, "ledger", "prove", "--entry", "3").status == 0)
    let (key, allowed) = (path(run, "key"), path(run, "allowed"))
    let script = """
      set -e
      ssh-keygen -q -t ed25519 -N '' -C operator -f '\(key)'
      ssh-keygen -Y sign -q -n lethe -f '\(key)' '\(head)'
      printf 'operator %s' "$(cat '\(key).pub')" > '\(allowed)'
      ssh-keygen -Y verify -q -n lethe -I operator -f '\(allowed)' -s '\(head).sig' < '\(head)'
      sed s/2/3/ '\(head)' > '\(head).changed'
      ! ssh-keygen -Y verify -q -n lethe -I operator -f '\(allowed)' -s '\(head).sig' \
        < '\(head).changed'
      """
    // From here on the coordinator is gone: everything is checked from files.
    run.stop()
    #expect(
      try Lethe.run(["receipt", "verify", receipt, "--id", "r3", "--checkpoint", head]).status == 0)
    #expect(try Lethe.run(["receipt", "verify", receipt, "--id", "r4"]).status == 65)
    #expect(
      try Lethe.run(["ledger", "verify", path(run, "proof"), "--checkpoint", head]).status == 0)
    let text = try String(contentsOfFile: receipt, encoding: .utf8)
    #expect(!text.contains("r3"), "a receipt holds no id")
    try Data(text.replacingOccurrences(of: "E1", with: "E2").utf8)
      .write(to: URL(fileURLWithPath: receipt))
    #expect(try Lethe.run(["receipt", "verify", receipt]).status == 65)
    guard FileManager.default.isExecutableFile(atPath: "/usr/bin/ssh-keygen") else {
      print("SKIPPED signing a checkpoint: there is no ssh-keygen")
      return
    }
    #expect(try shell(script) == 0)
  }

  private func shell(_ script: String) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["-c", script]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
  }

  @Test("an erased salt ends receipts; blocks are retrained to the same bits; why is answered")
  func saltsAndAudits() throws {
    let run = try trained()
    _ = try run.delete(["r3"], wait: "certified")
    #expect(try lethe(run, "receipt", "erase-salt", "1").status == 0)
    let gone = try lethe(run, "receipt", "show", "r3")
    #expect(gone.status == 65 && gone.errors.contains("erased"))
    let report: VerificationReport = try Lethe.json(["verify", "--full", "--run", run.runFile])
    #expect(report.bitsChecked == 8 && report.bitsMatch == 8 && report.problems.isEmpty)
    #expect(try run.status().audit.matchRate == 1)
    let lineage: [BlockHistory] = try (0..<2).map { shard in
      try Lethe.json(["why", "\(shard)/0/2", "--run", run.runFile])
    }
    let losses = lineage.flatMap(\.losses)
    #expect(losses.map(\.cause) == ["deletion 1"])
    #expect(losses[0].fields.contains { $0.changed && $0.name.hasPrefix("slice") })
    #expect(losses[0].fields.contains { !$0.changed && $0.name == "recipe" })
  }

  @Test("an export goes with its blocks, and a file nobody knows is an alarm")
  func copies() throws {
    let run = try trained()
    #expect(try lethe(run, "export", "--all", "--output", path(run, "peft")).status == 0)
    let lineage: RecordLineage = try Lethe.json(["lineage", "record", "r3", "--run", run.runFile])
    let shard = try #require(lineage.shard)
    _ = try run.delete(["r3"], wait: "certified")
    let folders = try FileManager.default.contentsOfDirectory(atPath: path(run, "peft"))
    // A shard's export survives only if it did not hold a block that saw the record.
    #expect(!folders.contains("shard-\(shard)") || folders.count == 2)
    try Data("stray".utf8).write(to: URL(fileURLWithPath: path(run, "data/slices/copy.jsonl")))
    let report = try lethe(run, "verify")
    #expect(report.status == 1 && report.text.contains("copy.jsonl"))
  }

  @Test("a start refuses a record table that is not the run's, and says which and what to do")
  func foreignTable() throws {
    let run = try TestRun()
    try run.startCoordinator()
    _ = try run.delete(["r1"], wait: "purged")
    run.stop()
    let table = URL(fileURLWithPath: path(run, "data/slices/records.table"))
    let key = URL(fileURLWithPath: path(run, "data/tombstone.key"))
    let rows: [(URL, (inout Data) -> Void, String)] = [
      (table, { $0[$0.count - 50] ^= 1 }, "which are not the"),
      (table, { $0.removeLast(100) }, "bytes and should have"),
      (table, { $0[0] = 0 }, "no record table"),
      (key, { $0 = Data(String(repeating: "ab", count: 32).utf8) }, "another run"),
    ]
    for (file, change, says) in rows {
      let whole = try Data(contentsOf: file)
      var changed = whole
      change(&changed)
      try changed.write(to: file)
      let refused = try run.refusedCoordinator()
      #expect(refused.status != 0, "\(says)")
      #expect(refused.errors.contains(says) && refused.errors.contains("records.table"))
      #expect(refused.errors.contains("try:"), "\(refused.errors)")
      try whole.write(to: file)
    }
    try run.startCoordinator()
    #expect(try run.status().records == 59)
  }

  @Test("a restore replays deletions from a surviving journal, and refuses to forget known ones")
  func restore() throws {
    let run = try trained()
    _ = try run.delete(["r1"], wait: "certified")
    #expect(try lethe(run, "backup", "--output", path(run, "backup")).status == 0)
    #expect(try files(below: path(run, "backup"), containing: "\"r1\"") == 0)
    _ = try run.delete(["r2"], wait: "certified")
    #expect(try lethe(run, "ledger", "checkpoint", "--output", path(run, "head")).status == 0)
    let artifacts = try run.artifacts()
    run.stop()
    // The records are lost, the journal survived.
    try FileManager.default.removeItem(atPath: path(run, "data/slices"))
    try FileManager.default.removeItem(atPath: path(run, "data/artifacts"))
    let restored = try lethe(run, "restore", "--from", path(run, "backup"))
    #expect(restored.status == 0 && restored.text.contains("1 left out"), "\(restored.errors)")
    #expect(try files(below: path(run, "data"), containing: "\"r2\"") == 0)
    try run.startCoordinator()
    try run.startWorker()
    #expect(try run.delete(["r2"])[0].outcome == .duplicate)
    try run.train()
    #expect(try run.artifacts() == artifacts)
    run.stop()
    // Everything is lost, but somebody kept a checkpoint, and the key that proves backups.
    try FileManager.default.copyItem(
      atPath: path(run, "data/backup.key"), toPath: path(run, "kept.key"))
    try FileManager.default.removeItem(atPath: path(run, "data"))
    let refused = try lethe(
      run, "restore", "--from", path(run, "backup"), "--backup-key", path(run, "kept.key"),
      "--checkpoint", path(run, "head"))
    #expect(refused.status == 1 && refused.errors.contains("2 ledger entries"))
    let accepted = try lethe(
      run, "restore", "--from", path(run, "backup"), "--backup-key", path(run, "kept.key"),
      "--checkpoint", path(run, "head"), "--accept-loss", "2")
    #expect(accepted.status == 0, "\(accepted.errors)")
    try run.startCoordinator()
    #expect(try run.delete(["r1", "r2"]).map(\.outcome) == [.duplicate, .accepted])
  }

  @Test("a worker that has seen more silences a run that was put back by hand")
  func oldCopy() throws {
    let run = try trained()
    run.killCoordinator()
    try FileManager.default.copyItem(atPath: path(run, "data"), toPath: path(run, "old"))
    try run.startCoordinator()
    _ = try run.delete(["r1"], wait: "certified")
    run.killCoordinator()
    // Whoever is welcomed is shown the ledger, so the next welcome shows this entry.
    try run.startCoordinator()
    try waitUntil("the worker's return", seen: run.log) {
      try !run.status().workers.isEmpty
    }
    run.killCoordinator()
    let endpoint = try Data(contentsOf: URL(fileURLWithPath: path(run, "data/endpoint.json")))
    try FileManager.default.removeItem(atPath: path(run, "data"))
    try FileManager.default.moveItem(atPath: path(run, "old"), toPath: path(run, "data"))
    try endpoint.write(to: URL(fileURLWithPath: path(run, "data/endpoint.json")))
    try run.startCoordinator()
    try waitUntil("the worker's alarm", seen: try run.status()) {
      try run.status().alarms.contains { $0.contains("has seen a ledger") }
    }
    let answer = try lethe(run, "predict", "--text", "x")
    #expect(answer.status == 69 && answer.errors.contains("nothing is served"))
  }

  @Test("the journal can be inspected and salvaged beside a coordinator that refuses to start")
  func damagedJournal() throws {
    let run = try trained()
    run.stop()
    #expect(try lethe(run, "journal", "verify").status == 0)
    for copy in ["a", "b"] {
      let folder = path(run, "data/journal-\(copy)")
      let name = try #require(
        FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix(".journal") })
      var bytes = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))
      bytes[400] ^= 1
      try bytes.write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
    }
    #expect(try lethe(run, "journal", "verify").status == 1)
    let refused = try run.refusedCoordinator()
    #expect(refused.status == 1 && refused.errors.contains("journal is damaged"))
    let salvaged = try lethe(run, "journal", "salvage", "--output", path(run, "saved"))
    #expect(salvaged.status == 1, "something was lost, and it says so")
  }

  @Test("records without their journal are not taken for a new run")
  func missingJournal() throws {
    let run = try TestRun()
    try run.startCoordinator()
    _ = try run.delete(["r1"])
    run.killCoordinator()
    for copy in ["a", "b"] {
      try FileManager.default.removeItem(atPath: path(run, "data/journal-\(copy)"))
    }
    let refused = try run.refusedCoordinator()
    #expect(refused.status == 66 && refused.errors.contains("undo deletions"))
  }

  private func files(below folder: String, containing text: String) throws -> Int {
    try FileManager.default.subpathsOfDirectory(atPath: folder).count { name in
      let bytes = try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))
      return bytes?.range(of: Data(text.utf8)) != nil
    }
  }
}
