import CoordinatorAPI
import Foundation
import Testing

/// Runs whose blocks start from an adapter's matrices, with real processes.
@Suite("Starting adapters, with real processes", .serialized) struct StartingAdapterTests {
  /// An adapter of the kind that a run trains by default, from all records.
  private func adapter(in run: TestRun, _ more: String...) throws -> URL {
    let folder = run.folder.appendingPathComponent("start")
    var arguments = [
      "train-block", "--backbone", Lethe.backbone, "--data",
      run.folder.appendingPathComponent("records.jsonl").path, "--labels", "a,b,c", "--epochs", "1",
      "--output", folder.path,
    ]
    for (name, value) in [("--layers", "0,1,2,3"), ("--rank", "8"), ("--targets", "query,value")]
    where !more.contains(name) {
      arguments += [name, value]
    }
    if !more.contains("--no-rslora") { arguments.append("--rslora") }
    let made = try Lethe.run(arguments + more.filter { $0 != "--no-rslora" })
    try #require(made.status == 0, "\(made.errors)")
    return folder
  }

  private func starting(_ run: TestRun, from folder: URL) throws {
    try run.edit(#"// startingAdapter: "FOLDER""#, to: #"startingAdapter: "\#(folder.path)""#)
  }

  private func trained(_ run: TestRun) throws {
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
  }

  /// The bytes of a folder's LoRA matrices: they stand before the head.
  private func matrices(_ folder: URL) throws -> Data {
    let file = try Data(contentsOf: folder.appendingPathComponent("adapter_model.safetensors"))
    let header = file.prefix(8).enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
    return Data(file.dropFirst(8 + header).dropLast(4 * (3 * 32 + 3)))
  }

  @Test("without any learning, every block is the adapter's own matrices")
  func beginsThere() throws {
    let run = try TestRun(epochs: 1)
    let folder = try adapter(in: run)
    try starting(run, from: folder)
    try run.edit("learningRate: 0.002", to: "learningRate: 0")
    try trained(run)
    let output = run.folder.appendingPathComponent("peft")
    let exported = try Lethe.run([
      "export", "--shard", "1", "--output", output.path, "--run", run.runFile,
    ])
    #expect(exported.status == 0, "\(exported.errors)")
    let found = try matrices(output)
    #expect(found.count == 4 * 4 * 2 * 2 * 8 * 32)
    #expect(try found == matrices(folder))
  }

  @Test("a repair gives the bits of a fresh run from the same adapter, and of no other")
  func exact() throws {
    let run = try TestRun()
    let folder = try adapter(in: run)
    try starting(run, from: folder)
    try trained(run)
    let before = try run.artifacts()
    #expect(try before != TestRun.freshArtifacts())
    _ = try run.delete(["r3"], wait: "repaired")
    let fresh = try TestRun(records: TestRun.jsonLines(without: ["r3"]))
    try starting(fresh, from: folder)
    try trained(fresh)
    let repaired = try run.artifacts()
    #expect(try repaired == fresh.artifacts() && repaired != before)
    let report: VerificationReport = try Lethe.json(["verify", "--full", "--run", run.runFile])
    #expect(report.bitsChecked == 8 && report.bitsMatch == 8 && report.problems.isEmpty)
    fresh.stop()

    // A worker that lacks it would train other blocks under the same keys.
    struct Endpoint: Decodable { var workers: String }
    let endpoint = try JSONDecoder().decode(
      Endpoint.self, from: Data(contentsOf: run.folder.appendingPathComponent("data/endpoint.json"))
    )
    let stranger = try run.refusedWorker([
      "--coordinator", endpoint.workers, "--backbone", Lethe.backbone, "--key",
      run.folder.appendingPathComponent("data/local.key").path,
    ])
    #expect(stranger.status == 78 && stranger.errors.contains("its backbone with its starting"))

    // Other bytes are another run, whatever they say.
    run.stop()
    let file = folder.appendingPathComponent("adapter_config.json")
    let original = try Data(contentsOf: file)
    try (original + Data("\n".utf8)).write(to: file)
    let changed = try run.refusedCoordinator()
    #expect(changed.status == 78, "\(changed.errors)")
    #expect(changed.errors.contains("in: training.startingAdapter"))
    try original.write(to: file)
    try run.startCoordinator()
    #expect(try run.artifacts() == repaired)
  }

  private static let misfits: [(options: [String], complaint: String)] = [
    (["--rank", "4"], "its rank is 4, training.rank 8"),
    (["--alpha", "8"], "its alpha is 8.0, training.alpha 16.0"),
    (["--no-rslora"], "its rankStabilized is false, training.rankStabilized true"),
    (["--targets", "query"], #"its targets is ["query"], training.targets ["query", "value"]"#),
    (["--layers", "2,3"], "it has layers [2, 3], the run trains [0, 1, 2, 3]"),
  ]

  @Test("an adapter of another kind is refused before a run exists, with what differs")
  func misfit() throws {
    for row in Self.misfits {
      let run = try TestRun()
      let folder = run.folder.appendingPathComponent("start")
      switch row.options.count {
      case 1: _ = try adapter(in: run, row.options[0])
      default: _ = try adapter(in: run, row.options[0], row.options[1])
      }
      try starting(run, from: folder)
      let refused = try run.refusedCoordinator()
      #expect(refused.status == 78, "\(row.complaint)")
      #expect(refused.errors.contains(row.complaint), "\(refused.errors)")
    }
    let run = try TestRun()
    try starting(run, from: run.folder.appendingPathComponent("nowhere"))
    let absent = try run.refusedCoordinator()
    #expect(absent.status == 66 && absent.errors.contains("has no readable adapter_config.json"))
    // A family of other names is told apart before any shape is looked at.
    let other = Lethe.root.appendingPathComponent("Tests/Fixtures/tiny-distilbert/init")
    let foreign = try TestRun()
    try starting(foreign, from: other)
    let refused = try foreign.refusedCoordinator()
    #expect(refused.status == 65 && refused.errors.contains("an adapter for distilbert"))
  }
}
