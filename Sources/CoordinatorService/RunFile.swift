import CoordinatorCore
import Foundation
import Hashing
import ModelFormats
import SystemIO
import Unlearning

/// What is wrong with a run file.
package struct RunFileError: Error, Equatable, Sendable {
  package var message: String
  package var hint: String

  init(_ message: String, try hint: String) {
    self.message = message
    self.hint = hint
  }
}

/// A run as its owner writes it: JSON5, made by `lethe init` and edited by hand.
package struct RunFile: Codable, Sendable {
  package struct Training: Codable, Sendable {
    package var targets: [String]
    package var rank: Int
    package var alpha: Double
    package var rankStabilized: Bool
    package var epochs: Int
    package var batchSize: Int
    package var learningRate: Double
    package var headLearningRate: Double
    package var schedule: LearningRateSchedule
    package var warmup: Double
    package var weightDecay: Double
    package var maximumGradientNorm: Double
    package var maximumTokens: Int
    /// Default: zero.
    package var headStart: HeadStart?
    /// Default: 1.
    package var stageRateFactor: Double?
    /// A PEFT folder whose matrices the blocks start from; default: drawn.
    package var startingAdapter: String?
  }

  package struct Repair: Codable, Sendable {
    package enum Policy: String, Codable, CaseIterable, Sendable {
      case eager, batched, depth, manual
    }

    package var policy: Policy
    package var quietSeconds: Double?
    package var maximumAgeSeconds: Double?
    package var depth: Int?
    /// How many slices repairs may read in an hour.
    package var slicesPerHour: Int?
  }

  package struct SequenceSelection: Codable, Sendable {
    package enum Method: String, Codable, CaseIterable, Sendable {
      case cyclic, matching, sampling
    }

    package var method: Method
    /// How likely each slice is to lose a record.
    package var sliceProbabilities: [Double]?
  }

  package struct Coordinator: Codable, Sendable {
    /// Where the run keeps everything.
    package var directory: String
    /// Where workers connect.
    package var workers: String
    /// Where people and other programs connect.
    package var http: String
    /// Names besides addresses under which `http` is asked for; default: localhost alone.
    package var httpNames: [String]?
    /// Folders of the journal's two copies, best on two disks; default: inside `directory`.
    package var journal: [String]?
    /// By when deletions must be finished: `gdpr`, `ccpa` or `days:N`.
    package var deadline: String?
    /// How the shards' answers become one; default: their logits' mean.
    package var aggregation: Aggregation?
    /// Which of a shard's prefixes answer; default: the deepest.
    package var serving: ServingRule?
    /// Share of trained blocks that are trained again to compare bits.
    package var auditShare: Double?
    /// Workers at a time.
    package var maximumWorkers: Int?
    /// Folders below which exports may lie; default: anywhere outside the run's own.
    package var exportFolders: [String]?
    /// Folders below which backups may lie; default: anywhere outside the run's own.
    package var backupFolders: [String]?
    /// Accept the key that everybody knows; on loopback only.
    package var developmentMode: Bool?
  }

  package var name: String
  package var backbone: String
  package var data: [String]
  package var labels: [String]
  package var shards: Int
  package var slices: Int
  package var sequences: Int
  package var stageData: StageData
  /// Default: as evenly as they go; see `ShapeOptions`.
  package var layersPerBlock: [Int]?
  /// Default: cyclic.
  package var sequenceSelection: SequenceSelection?
  /// Default: records lie where their ids put them; see `ShapeOptions`.
  package var sliceThresholds: [Double]?
  package var seed: UInt64
  package var partitionKey: String
  package var training: Training
  package var repair: Repair
  package var coordinator: Coordinator
  /// Default: nobody is told.
  package var webhooks: [Webhook]?
}

extension RunFile {
  /// Reads JSON5. A key this version does not know is an error, as it would silently do nothing.
  package static func parse(_ bytes: [UInt8]) throws(RunFileError) -> RunFile {
    let data = Data(try plainJSON(bytes))
    let decoder = JSONDecoder()
    do {
      let tree = try decoder.decode(KeyTree.self, from: data)
      for section in sections {
        let allowed = keys(of: section)
        let found = section.isEmpty ? tree.keys : tree.sections[section] ?? []
        if let unknown = found.first(where: { !allowed.contains($0) }) {
          throw RunFileError(
            "unknown key \"\(unknown)\"\(section.isEmpty ? "" : " in \"\(section)\"")",
            try: "use one of \(allowed.joined(separator: ", "))")
        }
      }
      return try decoder.decode(RunFile.self, from: data)
    } catch let error as RunFileError {
      throw error
    } catch {
      throw RunFileError(
        describe(error), try: "correct it there; lethe init writes a complete file to compare with")
    }
  }

  /// The file as JSON; the library's own JSON5 reader ends the process on some mistakes.
  private static func plainJSON(_ bytes: [UInt8]) throws(RunFileError) -> [UInt8] {
    var read = bytes
    do {
      read = try JSON5.plainJSON(bytes)
      _ = try JSON(parsing: read)
      return read
    } catch {
      let line = 1 + read.prefix(error.byteOffset).count { $0 == UInt8(ascii: "\n") }
      throw RunFileError(
        "line \(line): \(error.reason)",
        try: "correct it there; lethe init writes a complete file to compare with")
    }
  }

  private static func describe(_ error: any Error) -> String {
    func path(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
      (context.codingPath + (last.map { [$0] } ?? [])).map(\.stringValue).joined(separator: ".")
    }
    switch error {
    case DecodingError.keyNotFound(let key, let context): return "\(path(context, key)) is missing"
    case DecodingError.typeMismatch(let type, let context),
      DecodingError.valueNotFound(let type, let context):
      return "\(path(context)) is not \(word(for: type))"
    case DecodingError.dataCorrupted(let context):
      return context.codingPath.isEmpty
        ? (context.underlyingError.map { "\($0)" } ?? context.debugDescription)
        : "\(path(context)) has a value that is not allowed"
    default: return "\(error)"
    }
  }

  private static func word(for type: any Any.Type) -> String {
    switch type {
    case is String.Type: "a text in quotes"
    case is Bool.Type: "true or false"
    case is Int.Type, is UInt64.Type: "a whole number"
    case is Double.Type: "a number"
    case is [Any].Type: "a list in [ ]"
    default: "of its type"
    }
  }

  /// The run this file describes, over a backbone whose digest and layer count are known.
  ///
  /// - Parameter startingAdapter: the digest of what `training.startingAdapter` names.
  package func description(backbone: Digest, layerCount: Int, startingAdapter: Digest?)
    throws(RunFileError) -> RunDescription
  {
    guard let partitionKey = Array(hex: partitionKey), partitionKey.count >= 16 else {
      throw RunFileError(
        "partitionKey is not at least 16 bytes of hexadecimal", try: "copy it from another run file"
      )
    }
    let run = RunDescription(
      name: name, shardCount: shards, sliceCount: slices, sequenceCount: sequences,
      layerCount: layerCount, stageData: stageData,
      options: ShapeOptions(
        layersPerBlock: layersPerBlock, orders: try orders(), sliceThresholds: sliceThresholds),
      seed: seed, partitionKey: partitionKey, recipe: try recipe(startingAdapter),
      backbone: backbone,
      repairPolicy: try repairPolicy(), repairBudget: try repairBudget())
    do {
      _ = try run.plan()
    } catch {
      throw RunFileError(Self.describe(error), try: "change it in the run file")
    }
    return run
  }

  private static func describe(_ error: PlanError) -> String {
    switch error {
    case .shardCount(let count): "shards is \(count), not between 1 and 4096"
    case .sliceCount(let count, let layerCount):
      "slices is \(count), but each of 1 to \(layerCount) slices trains its own layers of the "
        + "backbone's \(layerCount)"
    case .sequenceCount(let count, let sliceCount):
      "sequences is \(count): either there are not as many orders of \(sliceCount) slices, or more "
        + "than \(RunPlan.sequenceLimit) orders or \(RunPlan.slotLimit) blocks in all"
    case .layersPerBlock(let counts, let sliceCount, let layerCount):
      "layersPerBlock is \(counts), not \(sliceCount) numbers, one a slice, of together at most "
        + "\(layerCount) layers"
    case .sliceThresholds(let thresholds, let sliceCount):
      "sliceThresholds is \(thresholds), not \(sliceCount - 1) ascending probabilities between "
        + "the \(sliceCount) slices"
    }
  }

  /// When accepted deletions are due.
  package func deadlinePolicy() throws(RunFileError) -> DeadlinePolicy {
    let text = coordinator.deadline ?? "gdpr"
    guard let policy = DeadlinePolicy(text) else {
      throw RunFileError(
        "coordinator.deadline is \"\(text)\"", try: "write gdpr, ccpa or days:N")
    }
    return policy
  }

  /// How many committed blocks are trained again, in [0, 1].
  package func auditShare() throws(RunFileError) -> Double {
    let share = coordinator.auditShare ?? 0
    guard (0...1).contains(share) else {
      throw RunFileError("coordinator.auditShare is not between 0 and 1", try: "write 0.02")
    }
    return share
  }

  /// How shards' answers become one.
  package func aggregation() throws(RunFileError) -> Aggregation {
    let rule = coordinator.aggregation ?? .meanLogits
    guard rule.averagesNumbers || labels.count > 1 else {
      throw RunFileError(
        "coordinator.aggregation is \(rule.rawValue), but the run's only label names a number",
        try: "take it out: numbers are averaged")
    }
    return rule
  }

  /// How many workers may be connected at a time.
  package func maximumWorkers() throws(RunFileError) -> Int {
    let count = coordinator.maximumWorkers ?? WorkerLimits.defaultMaximumWorkers
    guard (1...16_384).contains(count) else {
      throw RunFileError(
        "coordinator.maximumWorkers is not between 1 and 16384", try: "write 1024")
    }
    return count
  }

  /// The folders that a key names, from the run file's own folder on; `nil` where it is left out.
  func folders(_ texts: [String]?, _ key: String, base: String) throws(RunFileError)
    -> [AbsolutePath]?
  {
    try texts?.map { (text) throws(RunFileError) in
      do throws(AbsolutePath.Problem) {
        return try AbsolutePath(text.hasPrefix("/") ? text : "\(base)/\(text)")
      } catch {
        throw RunFileError(
          "\(key) names a folder whose path \(error.words)",
          try: "name folders in plain names, such as \"exports\" or \"/srv/exports\"")
      }
    }
  }

  /// The folders of the journal's two copies.
  package func journalFolders(directory: String) throws(RunFileError) -> (String, String) {
    guard let folders = coordinator.journal else {
      return ("\(directory)/journal-a", "\(directory)/journal-b")
    }
    guard folders.count == 2, folders[0] != folders[1] else {
      throw RunFileError(
        "coordinator.journal does not name two folders", try: "name two, best on two disks")
    }
    func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(directory)/\(path)" }
    return (absolute(folders[0]), absolute(folders[1]))
  }

  private func recipe(_ startingAdapter: Digest?) throws(RunFileError) -> TrainingRecipe {
    func check(_ condition: Bool, _ message: String) throws(RunFileError) {
      guard condition else { throw RunFileError(message, try: "change it in the run file") }
    }
    try check(!labels.isEmpty, "labels names no class")
    try check(Set(labels).count == labels.count, "labels names a class twice")
    let targets = try training.targets.map { (name) throws(RunFileError) in
      guard let target = ProjectionTarget(rawValue: name) else {
        throw RunFileError(
          "training.targets holds \"\(name)\"",
          try: "use \(ProjectionTarget.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      return target
    }
    try check(!targets.isEmpty, "training.targets is empty")
    try check((1...1024).contains(training.rank), "training.rank is not between 1 and 1024")
    try check(
      training.alpha.isFinite && training.alpha > 0, "training.alpha is not a positive number")
    try check((1...10_000).contains(training.epochs), "training.epochs is not between 1 and 10000")
    try check((1...4096).contains(training.batchSize), "training.batchSize is not 1 to 4096")
    for (name, value) in [
      ("learningRate", training.learningRate), ("headLearningRate", training.headLearningRate),
      ("warmup", training.warmup), ("weightDecay", training.weightDecay),
      ("maximumGradientNorm", training.maximumGradientNorm),
    ] {
      try check(value.isFinite && value >= 0, "training.\(name) is negative or not a number")
    }
    try check(
      (3...8192).contains(training.maximumTokens), "training.maximumTokens is not 3 to 8192")
    let stageRateFactor = training.stageRateFactor ?? 1
    try check(
      stageRateFactor > 0 && stageRateFactor <= 100,
      "training.stageRateFactor is not above 0, to 100")
    return TrainingRecipe(
      labels: labels, targets: targets, rank: training.rank, alpha: training.alpha,
      rankStabilized: training.rankStabilized, epochs: training.epochs,
      batchSize: training.batchSize, learningRate: training.learningRate,
      headLearningRate: training.headLearningRate, schedule: training.schedule,
      warmup: training.warmup, weightDecay: training.weightDecay,
      maximumGradientNorm: training.maximumGradientNorm, maximumTokens: training.maximumTokens,
      headStart: training.headStart ?? .zero, stageRateFactor: stageRateFactor,
      startingAdapter: startingAdapter)
  }

  /// The orders of the slices that the selection comes to; `nil` for cyclic ones.
  private func orders() throws(RunFileError) -> [SliceSequence]? {
    guard let selection = sequenceSelection, selection.method != .cyclic else {
      guard sequenceSelection?.sliceProbabilities == nil else {
        throw RunFileError(
          "sequenceSelection.sliceProbabilities is of no use to cyclic sequences",
          try: "choose method matching or sampling, or take it out")
      }
      return nil
    }
    let probabilities = selection.sliceProbabilities ?? []
    guard probabilities.count == slices, probabilities.allSatisfy({ (0...1).contains($0) }),
      (1...RunPlan.sliceLimit).contains(slices), (1...RunPlan.sequenceLimit).contains(sequences)
    else {
      throw RunFileError(
        "sequenceSelection.sliceProbabilities is not one probability for each of \(slices) slices",
        try: "say how likely each slice is to lose a record, between 0 and 1")
    }
    let found =
      selection.method == .matching
      ? Array(SliceSequence.matched(probabilities: probabilities).prefix(sequences))
      : SliceSequence.sampled(probabilities: probabilities, count: sequences, seed: seed)
    guard found.count == sequences else {
      throw RunFileError(
        "sequences is \(sequences), but \(selection.method.rawValue) finds only \(found.count)",
        try: "lower it, or choose another method")
    }
    return found
  }

  private func repairBudget() throws(RunFileError) -> Int? {
    guard let budget = repair.slicesPerHour else { return nil }
    guard (1...1_000_000_000).contains(budget) else {
      throw RunFileError(
        "repair.slicesPerHour is not between 1 and 1000000000",
        try: "say how many slices repairs may read in an hour, or take it out")
    }
    return budget
  }

  private func repairPolicy() throws(RunFileError) -> RepairPolicy {
    func milliseconds(_ seconds: Double?, default value: Double, _ name: String)
      throws(RunFileError) -> Milliseconds
    {
      let seconds = seconds ?? value
      guard (0...86_400_000).contains(seconds) else {
        throw RunFileError("repair.\(name) is out of range", try: "change it in the run file")
      }
      return Milliseconds(seconds * 1000)
    }
    switch repair.policy {
    case .eager: return .eager
    case .manual: return .manual
    case .batched:
      return .batched(
        quiet: try milliseconds(repair.quietSeconds, default: 5, "quietSeconds"),
        maximumAge: try milliseconds(repair.maximumAgeSeconds, default: 60, "maximumAgeSeconds"))
    case .depth:
      guard let depth = repair.depth, depth >= 1 else {
        throw RunFileError(
          "repair.depth is missing", try: "say below how many served blocks a shard is repaired")
      }
      return .depthBelow(depth)
    }
  }
}
