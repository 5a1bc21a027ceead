import CoordinatorAPI
import Foundation
import Testing

/// What `lethe export` writes, through the shipped executable.
@Suite("Exports, with real processes", .serialized) struct ExportTests {
  private static let files = [
    "adapter_config.json", "adapter_model.safetensors", "lethe_manifest.json", "load_peft.py",
  ]

  /// A trained run whose ids are found wherever they stand.
  private func trained() throws -> TestRun {
    let records = TestRun.jsonLines().replacingOccurrences(of: #""id":"r"#, with: #""id":"canary-"#)
    let run = try TestRun(records: records)
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    return run
  }

  private func export(_ run: TestRun, to name: String, _ more: String...) throws -> Lethe.Output {
    try Lethe.run(
      ["export", "--shard", "0", "--output", folder(run, name).path, "--run", run.runFile] + more)
  }

  private func folder(_ run: TestRun, _ name: String) -> URL {
    run.folder.appendingPathComponent(name)
  }

  private struct Manifest: Decodable {
    struct Block: Decodable {
      var key: String
      var artifact: String
    }

    struct Origin: Decodable {
      var shard: Int
      var sequence: Int
      var depth: Int
      var blocks: [Block]
      var numericClass: String
      var ledgerSize: Int
    }

    struct Logits: Decodable {
      struct Text: Decodable {
        var text: String
        var logits: [Double]
      }

      var tolerance: Double
      var texts: [Text]
    }

    var format: String
    var labels: [String]
    var origin: Origin
    var logits: Logits
  }

  @Test("two exports are the same bytes, say where they come from, and name no record")
  func provenance() throws {
    let run = try trained()
    for name in ["one", "two"] { #expect(try export(run, to: name).status == 0) }
    for file in Self.files {
      let bytes = try Data(contentsOf: folder(run, "one/\(file)"))
      #expect(try bytes == Data(contentsOf: folder(run, "two/\(file)")), "\(file)")
      #expect(bytes.range(of: Data("canary".utf8)) == nil, "\(file)")
    }
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: folder(run, "one").path).sorted()
        == Self.files)
    let manifest = try JSONDecoder().decode(
      Manifest.self, from: Data(contentsOf: folder(run, "one/lethe_manifest.json")))
    let blocks = try #require(try run.shard(0).sequences.first).blocks
    #expect(manifest.format == "lethe-adapter-1" && manifest.labels == ["a", "b", "c"])
    #expect(manifest.origin.shard == 0 && manifest.origin.sequence == 0)
    #expect(manifest.origin.depth == 2 && manifest.origin.ledgerSize == 0)
    #expect(manifest.origin.blocks.map(\.key) == blocks.map(\.key))
    #expect(manifest.origin.blocks.map(\.artifact) == blocks.map(\.artifact))
    #expect(try manifest.origin.numericClass == run.status().numericClass)
    // The tensor file says the same in its own header.
    let tensors = String(
      decoding: try Data(contentsOf: folder(run, "one/adapter_model.safetensors")), as: UTF8.self)
    #expect(tensors.contains(blocks.compactMap(\.key).joined(separator: ",")))
    // The logits are those of predicting alone with the folder.
    let answers: PredictionResponse = try Lethe.json(
      [
        "predict", "--backbone", Lethe.backbone, "--adapter", folder(run, "one").path,
        "--max-tokens", "128",
      ] + manifest.logits.texts.prefix(2).flatMap { ["--text", $0.text] })
    #expect(answers.predictions.map(\.logits) == manifest.logits.texts.prefix(2).map(\.logits))
  }

  private struct Damage: Sendable {
    var file: String
    var change: @Sendable (Data) throws -> Data?
    var complaint: String
  }

  private static func replacing(_ text: String, by other: String)
    -> @Sendable (Data) throws
    -> Data?
  {
    { bytes in
      var bytes = bytes
      let range = try #require(bytes.range(of: Data(text.utf8)))
      bytes.replaceSubrange(range, with: Data(other.utf8))
      return bytes
    }
  }

  private static let damages = [
    Damage(
      file: "adapter_model.safetensors",
      change: { bytes in
        var bytes = bytes
        bytes[bytes.count - 1] ^= 1
        return bytes
      }, complaint: "classifier.weight differs at element"),
    Damage(
      file: "adapter_model.safetensors", change: replacing("layer.3.", by: "layer.7."),
      complaint: "belongs to no block"),
    Damage(
      file: "adapter_model.safetensors", change: replacing(#""depth":"2""#, by: #""depth":"1""#),
      complaint: "__metadata__"),
    Damage(
      file: "adapter_config.json",
      change: replacing(#""use_rslora": true"#, by: #""use_rslora": false"#),
      complaint: "adapter_config.json says something else"),
    Damage(
      file: "lethe_manifest.json", change: replacing(#""stage": 1"#, by: #""stage": 2"#),
      complaint: "lethe_manifest.json says something else"),
    Damage(file: "load_peft.py", change: { _ in nil }, complaint: "load_peft.py is missing"),
  ]

  @Test("a check writes where nothing is, passes what is served, and names every difference")
  func check() throws {
    let run = try trained()
    let first = try export(run, to: "peft", "--check")
    #expect(first.status == 0 && first.text.contains("tensors are those of the blocks"))
    for row in Self.damages {
      let file = folder(run, "peft/\(row.file)")
      let original = try Data(contentsOf: file)
      if let changed = try row.change(original) {
        try changed.write(to: file)
      } else {
        try FileManager.default.removeItem(at: file)
      }
      let checked = try export(run, to: "peft", "--check")
      #expect(checked.status == 65, "\(row.complaint)")
      #expect(checked.errors.contains(row.complaint), "\(checked.errors)")
      try original.write(to: file)
    }
    #expect(try export(run, to: "peft", "--check").status == 0)
    // A deletion in another shard moves the ledger on, and the blocks stay.
    let all = try Set(TestRun.records.map { "canary-" + $0.id.dropFirst() }).filter {
      let lineage: RecordLineage = try Lethe.json(["lineage", "record", $0, "--run", run.runFile])
      return lineage.shard == 1
    }
    _ = try run.delete([try #require(all.min())], wait: "certified")
    #expect(try export(run, to: "peft", "--check").status == 0)
  }

  @Test("a deletion that masks a block of an export leaves nothing of its folder")
  func removal() throws {
    let run = try trained()
    #expect(try export(run, to: "peft").status == 0)
    let gone = try TestRun.records.map { "canary-" + $0.id.dropFirst() }.first {
      let lineage: RecordLineage = try Lethe.json(["lineage", "record", $0, "--run", run.runFile])
      return lineage.shard == 0
    }
    _ = try run.delete([try #require(gone)], wait: "certified")
    #expect(!FileManager.default.fileExists(atPath: folder(run, "peft").path))
  }

  @Test(
    "a run over another family is exact, and its export is read back",
    arguments: ["tiny-distilbert", "tiny-roberta"])
  func families(name: String) throws {
    let backbone = Lethe.root.appendingPathComponent("Tests/Fixtures/\(name)/model").path
    let run = try TestRun(backbone: backbone)
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    #expect(try export(run, to: "peft").status == 0)
    #expect(try export(run, to: "peft", "--check").status == 0)
    let text = "a small bird"
    let alone: PredictionResponse = try Lethe.json([
      "predict", "--backbone", backbone, "--adapter", folder(run, "peft").path, "--text", text,
      "--max-tokens", "128",
    ])
    let manifest = try JSONDecoder().decode(
      Manifest.self, from: Data(contentsOf: folder(run, "peft/lethe_manifest.json")))
    #expect(manifest.labels.count == alone.predictions[0].logits.count)
    #expect(manifest.logits.texts.allSatisfy { $0.logits.contains { $0 != 0 } })
    let other = try export(run, to: "one", "--backbone", Lethe.backbone)
    #expect(other.status == 65)
    let report: VerificationReport = try Lethe.json(["verify", "--full", "--run", run.runFile])
    #expect(report.bitsChecked == 8 && report.bitsMatch == 8 && report.problems.isEmpty)
    // The family's names do not fit another's layers.
    let foreign = try Lethe.run([
      "predict", "--backbone", Lethe.backbone, "--adapter", folder(run, "peft").path, "--text",
      text,
    ])
    #expect(foreign.status == 65 && foreign.errors.contains("is an adapter for"))
  }

  @Test("another backbone than the run's is refused")
  func foreignBackbone() throws {
    let run = try trained()
    let copy = folder(run, "backbone")
    try FileManager.default.copyItem(at: URL(fileURLWithPath: Lethe.backbone), to: copy)
    let settings = Data(#"{"do_lower_case": false}"#.utf8)
    try settings.write(to: copy.appendingPathComponent("tokenizer_config.json"))
    let output = try export(run, to: "peft", "--backbone", copy.path)
    #expect(output.status == 65 && output.errors.contains("the run is over"))
    #expect(!FileManager.default.fileExists(atPath: folder(run, "peft").path))
  }
}
