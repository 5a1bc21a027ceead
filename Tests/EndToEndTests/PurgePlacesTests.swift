import CoordinatorAPI
import CoordinatorCore
import Foundation
import TestKit
import Testing
import WireFormat

/// What a peer, a path or a disk does must not hold a purge up; the limits themselves are held in
/// virtual time (`PurgeLedgerTests`).
@Suite("A purge that nobody holds up, with real processes", .serialized) struct PurgePlacesTests {
  private func trained(coordinator: String? = nil) throws -> TestRun {
    let run = try TestRun(coordinator: coordinator)
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    return run
  }

  private func deletions(_ run: TestRun) throws -> [DeletionList.Item] {
    let list: DeletionList = try Lethe.json(["deletions", "--run", run.runFile])
    return list.deletions
  }

  @Test("a serving worker that never says forgotten is cut off, named by its key, and kept out")
  func mute() throws {
    let run = try trained()
    let (key, _) = try run.makeKey("quiet-one", role: .serve)
    let mute = try WireClient(run, key, name: "somebody else", roles: [.serve])
    #expect(mute.hear().isWelcome)
    #expect(try run.delete(["r1"]).first?.state == "masked")
    try waitUntil("a word of the worker", quiet: 12, seen: run.log) {
      try deletions(run)[0].waitsFor?.contains { $0.place == "worker" } == true
        && run.status().purgeWaitsFor.contains { $0.subject == "somebody else" }
    }
    _ = try run.delete(["r1"], wait: "certified")
    while mute.hear() != nil {}
    #expect(mute.hasEnded)
    #expect(try run.status().alarms.contains { $0.contains("quiet-one") })
    let deletion = try #require(try deletions(run).first)
    #expect(deletion.workersCutOff == 1 && deletion.waitsFor == nil)
    let receipt = try Lethe.run(["receipt", "show", "r1", "--run", run.runFile, "--format", "json"])
    #expect(
      receipt.text.filter { !$0.isWhitespace }.contains(#""level":"E0","location":"workers""#))
    // The honest worker was there all the time, and goes on.
    #expect(try run.status().workers.count == 1)
    let again = try WireClient(run, key, roles: [.serve])
    guard case .turnedAway(let refusal) = again.hear() else {
      Issue.record("a key that was cut off was let in at once")
      return
    }
    #expect(refusal.cause == .full && refusal.reason.contains("did not confirm"))
    let metrics = try run.call("GET", "/metrics").text
    #expect(metrics.contains("lethe_workers_cut_off_total 1\n"))
    #expect(metrics.contains("lethe_purge_oldest_age_seconds 0\n"))
  }

  // MARK: - Exports

  private func export(_ run: TestRun, to path: String) throws -> Lethe.Output {
    try Lethe.run(["export", "--shard", "0", "--output", path, "--run", run.runFile])
  }

  /// An id of a record in shard 0.
  private func idOfShard0(_ run: TestRun) throws -> String {
    try #require(
      try TestRun.records.map(\.id).first {
        let lineage: RecordLineage = try Lethe.json(["lineage", "record", $0, "--run", run.runFile])
        return lineage.shard == 0
      })
  }

  private func exports(_ run: TestRun) throws -> [CopyList.Item] {
    let list: CopyList = try Lethe.json(["exports", "list", "--run", run.runFile])
    return list.copies
  }

  @Test("an export whose place became a file is left out, said so, and forgotten on request")
  func brokenExport() throws {
    let run = try trained()
    let path = run.folder.appendingPathComponent("exported").path
    #expect(try export(run, to: path).status == 0)
    #expect(try exports(run).map(\.state) == ["current"])
    try FileManager.default.removeItem(atPath: path)
    try Data("mine".utf8).write(to: URL(fileURLWithPath: path))
    let id = try idOfShard0(run)
    _ = try run.delete([id], wait: "certified")
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine")
    #expect(try exports(run).map(\.state) == ["out of reach"])
    #expect(try run.status().alarms.contains { $0.contains(path) })
    #expect(try run.call("GET", "/readyz").text.contains("[!] exports: 1"))
    let receipt = try Lethe.run(["receipt", "show", id, "--run", run.runFile, "--format", "json"])
    #expect(
      receipt.text.filter { !$0.isWhitespace }.contains(#""level":"E0","location":"exports""#))
    // A restart looks for it again, and is not held up either.
    run.killCoordinator()
    try run.startCoordinator()
    try waitUntil("another look", quiet: 12, seen: run.log) {
      try exports(run).map(\.state) == ["out of reach"]
    }
    let forget = ["exports", "forget", path, "--run", run.runFile]
    #expect(try Lethe.run(forget).status == 0)
    #expect(try exports(run).isEmpty && run.status().alarms.isEmpty)
    #expect(try Lethe.run(forget).status != 0)
  }

  @Test("what stands in an export and is not Lethe's stays, and what is Lethe's goes")
  func foreignFiles() throws {
    let run = try trained()
    let (whole, changed) = (
      run.folder.appendingPathComponent("whole"), run.folder.appendingPathComponent("changed")
    )
    for folder in [whole, changed] { #expect(try export(run, to: folder.path).status == 0) }
    try Data("notes".utf8).write(to: whole.appendingPathComponent("notes.txt"))
    let tensors = changed.appendingPathComponent("adapter_model.safetensors")
    try Data("somebody's own".utf8).write(to: tensors)
    _ = try run.delete([try idOfShard0(run)], wait: "certified")
    try waitUntil("the removal", quiet: 12, seen: run.log) {
      try FileManager.default.contentsOfDirectory(atPath: whole.path) == ["notes.txt"]
    }
    #expect(try Data(contentsOf: tensors) == Data("somebody's own".utf8))
    #expect(try exports(run).map(\.path) == [FileSystemPath.real(changed.path)])
  }

  private struct Row: Sendable {
    var path: String
    var artifacts: String
    var status: Int
    var because: String
  }

  @Test("a path that is none, a folder that Lethe never wrote and a wrong digest are refused")
  func refusals() throws {
    let run = try trained()
    let base = FileSystemPath.real(run.folder.path)
    let victim = run.folder.appendingPathComponent("victim")
    try FileManager.default.createDirectory(at: victim, withIntermediateDirectories: true)
    let tensors = victim.appendingPathComponent("adapter_model.safetensors")
    try Data("not Lethe's".utf8).write(to: tensors)
    try FileManager.default.createSymbolicLink(
      atPath: run.folder.appendingPathComponent("link").path, withDestinationPath: "victim")
    let live = try #require(try run.artifacts()["0/0/1"])
    let good = "[\"\(live)\"]"
    let rows = [
      Row(
        path: "\(base)/victim/adapter_model.safetensors\\u0000x", artifacts: good, status: 400,
        because: "a zero byte ends it for the kernel"),
      Row(path: "exported", artifacts: good, status: 400, because: "relative"),
      Row(path: "\(base)/../x", artifacts: good, status: 400, because: "dots"),
      Row(
        path: "\(base)/\(String(repeating: "x", count: 256))", artifacts: good, status: 400,
        because: "a name that no file system has"),
      Row(path: "\(base)/run.json5", artifacts: good, status: 422, because: "a file"),
      Row(path: "\(base)/victim", artifacts: good, status: 422, because: "Lethe never wrote there"),
      Row(path: "\(base)/link/x", artifacts: good, status: 422, because: "through a link"),
      Row(path: "\(base)/data/slices", artifacts: good, status: 403, because: "the run's own"),
      Row(path: "\(base)/data", artifacts: good, status: 403, because: "the run itself"),
      Row(path: "\(base)/new", artifacts: "[]", status: 400, because: "of nothing"),
      Row(
        path: "\(base)/new", artifacts: "[\"\(live.dropLast())\"]", status: 400,
        because: "a digest that is too short"),
      Row(
        path: "\(base)/new", artifacts: "[\"\(live)\", \"zz\"]", status: 400,
        because: "one that is none among others"),
    ]
    for row in rows {
      let answer = try run.call(
        "POST", "/v1/exports", "{\"path\": \"\(row.path)\", \"artifacts\": \(row.artifacts)}")
      #expect(answer.status == row.status, "\(row.because): \(answer.text)")
      #expect(answer.text.contains("detail"), "\(row.because)")
    }
    #expect(try exports(run).isEmpty)
    _ = try run.delete([try idOfShard0(run)], wait: "certified")
    #expect(try Data(contentsOf: tensors) == Data("not Lethe's".utf8))
  }

  @Test("backups go to new folders outside the run, through no link, and leave nothing half")
  func backups() throws {
    let run = try trained()
    let base = FileSystemPath.real(run.folder.path)
    try FileManager.default.createSymbolicLink(
      atPath: run.folder.appendingPathComponent("dangling").path, withDestinationPath: "nowhere")
    try FileManager.default.createSymbolicLink(
      atPath: run.folder.appendingPathComponent("link").path, withDestinationPath: "data")
    for (path, status) in [
      ("\(base)/data/slices/backup", 403), ("\(base)/data/new/backup", 403),
      ("\(base)/dangling", 409), ("\(base)/run.json5", 409), ("\(base)/run.json5/backup", 422),
      ("\(base)/link/backup", 422), ("\(base)/x\\u0000y", 400),
    ] {
      let answer = try run.call("POST", "/v1/backups", "{\"path\": \"\(path)\"}")
      #expect(answer.status == status, "\(path): \(answer.text)")
    }
    let link = run.folder.appendingPathComponent("dangling").path
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "nowhere")
    #expect(!FileManager.default.fileExists(atPath: "\(base)/data/new"))
    #expect(try exports(run).isEmpty)
    #expect(
      try Lethe.run(["backup", "--output", "\(base)/made/backup", "--run", run.runFile]).status == 0
    )
    #expect(try exports(run).map(\.kind) == ["backup"])
    #expect(try run.status().alarms.isEmpty)
  }

  @Test("the run file says where exports and backups may lie")
  func allowed() throws {
    let run = try trained(
      coordinator: #"exportFolders: ["exports"], backupFolders: ["backups"]"#)
    let base = FileSystemPath.real(run.folder.path)
    for name in ["exports", "backups"] {
      try FileManager.default.createDirectory(
        atPath: "\(base)/\(name)", withIntermediateDirectories: true)
    }
    #expect(try export(run, to: "\(base)/exports/shard0").status == 0)
    let elsewhere = try export(run, to: "\(base)/elsewhere")
    #expect(elsewhere.status != 0 && elsewhere.errors.contains("exports"), "\(elsewhere.errors)")
    for (path, isAllowed) in [
      ("backups/one", true), ("exports/one", false), ("two", false), ("backups-not/x", false),
    ] {
      let made = try Lethe.run(["backup", "--output", "\(base)/\(path)", "--run", run.runFile])
      #expect((made.status == 0) == isAllowed, "\(path): \(made.errors)")
    }
    _ = try run.delete([try idOfShard0(run)], wait: "certified")
    try waitUntil("the removal", quiet: 12, seen: run.log) {
      !FileManager.default.fileExists(atPath: "\(base)/exports/shard0")
    }
  }

  // MARK: - Questions

  @Test(
    "a question beyond the limits is refused with a sentence, and one of several pieces answered")
  func questionLimits() throws {
    let run = try trained()
    func ask(_ texts: [String]) throws -> TestRun.Answer {
      let records = texts.map { "{\"text\": \"\($0)\"}" }.joined(separator: ",")
      return try run.call("POST", "/v1/predictions", "{\"records\": [\(records)]}")
    }
    let many = try ask(Array(repeating: "bird", count: 1_001))
    #expect(many.status == 413 && many.text.contains("1001 texts"))
    let long = try ask(Array(repeating: String(repeating: "bird ", count: 2_000), count: 105))
    #expect(long.status == 413 && long.text.contains("bytes"))
    // In several pieces, which are put together in order.
    let whole = try ask((0..<150).map { "\($0 % 2 == 0 ? "bird" : "old stone house")" })
    #expect(whole.status == 200)
    let response = try JSONDecoder().decode(PredictionResponse.self, from: Data(whole.text.utf8))
    #expect(response.predictions.count == 150)
    for (index, item) in response.predictions.enumerated() {
      #expect(item.logits == response.predictions[index % 2].logits)
    }
    #expect(response.predictions[0].logits != response.predictions[1].logits)
  }
}

enum FileSystemPath {
  /// A path without links.
  static func real(_ path: String) -> String {
    URL(fileURLWithPath: path).resolvingSymlinksInPath().path
  }
}
