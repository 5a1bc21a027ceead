import ByteCoding
import CommandLineKit
import CoordinatorAPI
import CoordinatorCore
import CoordinatorService
import Datasets
import Evaluation
import Foundation
import Hashing
import ModelFormats
import ServiceSupport
import SystemIO
import Training
import Unlearning
import WorkerService

/// The records that a file marks for evaluation, or all where it marks none.
func readEvaluationRecords(_ path: String, labels: [String]) throws -> [Record] {
  let contents = try readDatasetContents(path, labels: labels)
  return contents.evaluation.isEmpty ? contents.training : contents.evaluation.map(\.record)
}

/// A run as an evaluation sees it: its plan, its blocks that stand, and the model they belong to.
struct EvaluationSubject {
  let file: RunFile
  let model: LoadedModel
  let plan: RunPlan
  let recipe: TrainingRecipe
  let status: RunStatus
  let lineages: [ShardLineage]
  private let base: String
  private let client: CoordinatorClient

  /// - Parameter path: the run file of a coordinator that runs.
  init(_ path: String) throws {
    let file = try readRunFile(path)
    let base = folder(of: path)
    let client = try CoordinatorClient(
      directory: resolve(file.coordinator.directory, base: base))
    model = try LoadedModel(
      folder: resolve(file.backbone, base: base), adapter: try file.startingAdapter(base: base))
    do {
      let run = try file.description(
        backbone: model.files.digest, layerCount: model.encoder.layerCount,
        startingAdapter: model.startingAdapter?.digest)
      plan = try run.plan()
      recipe = run.recipe
    } catch {
      throw ServiceError(.badData, "\(path): \(error)", try: "correct the run file")
    }
    (self.file, self.base, self.client) = (file, base, client)
    status = try client.get("/v1/status")
    lineages = try status.shards.map { try client.get("/v1/lineage/shards/\($0.shard)") }
  }

  var layerCount: Int { model.encoder.layerCount }

  /// Records of a slice that are left.
  func recordCount(_ place: SliceLocation) -> Int {
    lineages[place.shard].slices.first { $0.slice == place.slice }?.records ?? 0
  }

  /// The evaluation records of files; of the run's own where none is named.
  func evaluationRecords(_ paths: [String]) throws -> [Record] {
    let named = try paths.flatMap { try records(of: $0) }
    guard named.isEmpty else { return named }
    let own = try file.data.flatMap {
      try readDatasetContents(resolve($0, base: base), labels: file.labels).evaluation
    }
    guard !own.isEmpty else {
      throw ServiceError(
        .badData, "the run's data marks no record as split test, so there is none to evaluate on",
        try: "name a file of such records with --data")
    }
    return own.map(\.record)
  }

  /// What a file holds for an evaluation: the records it marks so, or all where it marks none.
  func records(of path: String) throws -> [Record] {
    try readEvaluationRecords(path, labels: file.labels)
  }

  /// Where the records of each person lie; empty if no record of the run's files names one.
  ///
  /// Whoever is named nowhere is a person of one record.
  func subjects() throws -> [[SliceLocation]] {
    guard let key = Array(hex: file.partitionKey) else { return [] }
    let partition = Partition(key: key, plan: plan)
    let records = try file.data.flatMap {
      try readDataset(resolve($0, base: base), labels: file.labels)
    }
    guard records.contains(where: { $0.subject != nil }) else { return [] }
    var groups: [[UInt8]: [SliceLocation]] = [:]
    for record in records {
      let name = record.subject.map { [1] + $0.bytes } ?? [0] + record.id.bytes
      groups[name, default: []].append(
        partition.location(
          ofRecordID: record.id.bytes, deletionProbability: record.deletionProbability))
    }
    return groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
  }

  /// The logits of every prefix that stands, one row for each text.
  ///
  /// Prefixes of the same depth, of all shards, go through the layers below them together.
  func logits(of texts: [Record], _ console: Console) throws -> PrefixLogits {
    var table = PrefixLogits(shardCount: plan.shardCount, sequences: plan.sequences)
    let sequences = texts.map {
      model.tokens($0.text, pair: $0.textPair, maximumTokens: recipe.maximumTokens)
    }
    let members = Dictionary(grouping: try lineages.flatMap(members), by: \.prefix.depth)
    let work = members.values.reduce(0) { $0 + $1.count }
    let progress = console.progress(
      "evaluating \(status.run.visible)", total: texts.count * work, unit: "answers")
    defer { progress.finish() }
    for (_, members) in members.sorted(by: { $0.key < $1.key }) {
      let memory = ForwardMemory(model.encoder)
      for start in stride(from: 0, to: texts.count, by: 64) {
        let end = min(start + 64, texts.count)
        let logits = try model.encoder.logits(
          of: Array(sequences[start..<end]), members: members.map(\.member), memory: memory)
        for (place, (prefix, _)) in members.enumerated() {
          table[prefix] = (table[prefix] ?? []) + logits[place].map { $0.map(Double.init) }
        }
        progress.advance(by: (end - start) * members.count)
      }
    }
    return table
  }

  private func members(of lineage: ShardLineage) throws
    -> [(prefix: PrefixLogits.Prefix, member: EnsembleMember)]
  {
    var blocks: [String: PEFTAdapter] = [:]
    func block(_ digest: String) throws -> PEFTAdapter {
      if let known = blocks[digest] { return known }
      let bytes = try client.artifact(digest)
      guard SHA256.hash(bytes).hex == digest else {
        throw ServiceError(
          .badData, "artifact \(digest) came with other bytes than its name",
          try: "lethe verify says what is wrong with the run")
      }
      let block = try BlockArtifact.decode(bytes, recipe)
      blocks[digest] = block
      return block
    }
    return try lineage.sequences.flatMap { sequence in
      let standing = try sequence.blocks.prefix(sequence.depth).map {
        try block($0.artifact ?? "")
      }
      return try (0..<standing.count).map { last in
        let prefix = standing[...last]
        return (
          PrefixLogits.Prefix(
            shard: lineage.shard, sequence: sequence.sequence, depth: last + 1),
          EnsembleMember(
            encoder: try model.encoder.adapted(by: prefix.flatMap(\.adapters)),
            head: standing[last].head
              ?? .zero(
                labelCount: recipe.labels.count,
                hiddenSize: model.files.configuration.hiddenSize))
        )
      }
    }
  }
}
