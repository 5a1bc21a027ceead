import CommandLineKit
import CoordinatorAPI
import CoordinatorService
import Evaluation
import Forecast
import ServiceSupport
import Training
import Unlearning

let evaluateCommand = Command(
  name: "evaluate", summary: "how good answers are, now and after deletions",
  discussion: """
    Computes what every prefix that stands says of texts that nothing was trained on, and from it: \
    accuracy, F1, loss and calibration by depth, by shard, and by each way to combine the shards' \
    answers; how they fall while records leave and nothing is repaired, at random, person by \
    person where records name one, or chosen by someone who sees the lineage; and what a repair \
    costs, beside SISA and training one adapter again. The run itself is not changed.
    """,
  options: [
    CommandOption(
      "run", .path, placeholder: "FILE", default: "lethe.json5", environment: "LETHE_RUN",
      help: "The run file. Its coordinator has to run, on this machine.")
  ] + Evaluator.options,
  examples: [
    Example("lethe evaluate", "The texts that the run's data marks as split test."),
    Example(
      "lethe evaluate --members deleted.jsonl --compare fresh.json5",
      "Whether deleted records show, against a run that never saw them."),
  ], exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  try pinNumerics()
  let report = try Evaluator(runFile: arguments.string("run"), arguments, console).report()
  try show(report, arguments, console, text: text)
  return .ok
}

/// Works an evaluation out.
struct Evaluator {
  /// Of every verb that evaluates.
  static let options = [
    CommandOption(
      "data", .path, placeholder: "FILE", repeats: true,
      help: "Texts to evaluate on; default: what the run's data marks as split test."),
    CommandOption("limit", .integer(1...Int.max), placeholder: "N", help: "Only the first N."),
    CommandOption(
      "deletions", .integer(0...1_000_000), default: "100",
      help: "How many deletions to play without repair."),
    CommandOption("trials", .integer(1...100_000), default: "100", help: "Times to play them."),
    CommandOption("seed", .integer(0...Int.max), default: "1", help: "Of the deletions played."),
    CommandOption(
      "members", .path, placeholder: "FILE",
      help: """
        Records that are, or were, trained on: can one tell by the answers? 0.5 is a guess. \
        Compares their loss and confidence with those of the texts to evaluate on.
        """),
    CommandOption(
      "compare", .path, placeholder: "FILE",
      help: """
        With --members: the run file of another run, such as a fresh one without the records that \
        were deleted. Says the same of it, and whether all logits are the same bits.
        """),
  ]

  private let subject: EvaluationSubject
  private let texts: [Record]
  private let targets: [Target]
  private let table: PrefixLogits
  private let rule: Aggregation
  private let serving: ServingRule
  /// Of `--members`; read before anything is computed.
  private let members: [Record]?
  private let arguments: ParsedArguments
  private let console: Console

  init(runFile: String, _ arguments: ParsedArguments, _ console: Console) throws {
    (self.arguments, self.console) = (arguments, console)
    subject = try EvaluationSubject(runFile)
    rule = try subject.file.aggregation()
    serving = subject.file.coordinator.serving ?? .deepest
    texts = Array(
      try subject.evaluationRecords(arguments.strings("data"))
        .prefix(arguments.integer(ifGiven: "limit") ?? .max))
    targets = try texts.map(subject.target)
    members = try arguments.string(ifGiven: "members").map(subject.records)
    guard subject.status.shards.contains(where: { $0.depth > 0 }) else {
      throw ServiceError(
        .unavailable, "no shard serves anything now", try: "wait for training or repair")
    }
    table = try subject.logits(of: texts, console)
  }

  func report() throws -> EvaluationReport {
    let whole = subject.plan.sequenceCount
    return EvaluationReport(
      run: subject.status.run, journalSequence: subject.status.journalSequence,
      shards: subject.plan.shardCount, slices: subject.plan.sliceCount,
      layersPerBlock: subject.plan.layerGroups.map(\.count), labels: subject.recipe.labels,
      records: subject.status.records, texts: texts.count, aggregation: rule,
      serving: serving,
      ensembles: try Set([whole, 1]).sorted(by: >).map(ensemble),
      members: table.answering(.deepest).map {
        EvaluationReport.Shard(
          shard: $0.shard, depth: $0.depth, score: score([$0], table, rule, shardCount: 1))
      },
      rules: ServingRule.allCases.prefix(whole > 1 ? 2 : 1).flatMap { serving in
        Aggregation.allCases.filter { subject.recipe.labels.count > 1 || $0.averagesNumbers }.map {
          EvaluationReport.Rule(
            aggregation: $0, serving: serving, score: score(table.answering(serving), table, $0))
        }
      },
      fullRetraining: .fullRetraining(
        recordCount: subject.status.records, layerCount: subject.layerCount),
      membership: try members.map(membership))
  }

  /// The run with its first sequences alone.
  private func ensemble(_ sequenceCount: Int) throws -> EvaluationReport.Ensemble {
    let table = table.keeping(sequenceCount: sequenceCount)
    let layout = subject.plan.layout
    return EvaluationReport.Ensemble(
      layout: (layout == .s3t && sequenceCount == 1 ? .sisa : layout).rawValue,
      sequences: sequenceCount, served: score(table.answering(serving), table, rule),
      byDepth: (1...table.sliceCount).compactMap { depth in
        let served = table.answering(serving, maximumDepth: depth)
        guard !served.isEmpty else { return nil }
        var score = score(served, table, rule)
        score.maximumDepth = depth
        return score
      },
      deletions: try streams(table),
      repair: .perDeletion(
        subject.plan, layerCount: subject.layerCount, sequenceCount: sequenceCount,
        recordCount: subject.recordCount))
  }

  private func streams(_ table: PrefixLogits) throws -> [EvaluationReport.Stream] {
    var streams: [(String, DeletionStream, rule: Aggregation, ServingRule)] = []
    let places = (0..<table.shardCount).flatMap { shard in
      (0..<table.sliceCount).map { SliceLocation(shard: shard, slice: $0) }
    }
    let counts = Dictionary(uniqueKeysWithValues: places.map { ($0, subject.recordCount($0)) })
    // The run's own rules first, then what else could have been chosen.
    let choices = ServingRule.allCases.prefix(table.sequences.count > 1 ? 2 : 1).flatMap {
      serving in
      Set([rule, .depthWeighted]).sorted { $0.rawValue < $1.rawValue }.map { ($0, serving) }
    }
    for (other, way) in [(rule, serving)] + choices.filter({ $0 != (rule, serving) }) {
      streams.append(("uniform", .uniform(recordCounts: counts), other, way))
    }
    let subjects = try subject.subjects()
    if !subjects.isEmpty { streams.append(("subject", .bySubject(subjects), rule, serving)) }
    if table.sliceCount <= DeletionForecast.sliceLimit {
      let worst = WorstCase(
        DeletionForecast(shardCount: table.shardCount, sequences: table.sequences))
      let steps = worst.deletions.map { SliceLocation(shard: $0.shard, slice: $0.slice) }
      streams.append(("adversarial", .fixed(steps), rule, serving))
    }
    let (last, seed) = (arguments.integer("deletions"), UInt64(arguments.integer("seed")))
    let steps = Array(stride(from: 0, through: last, by: max(1, last / 100)))
    return streams.map { name, stream, rule, serving in
      let trials = name == "adversarial" ? 1 : arguments.integer("trials")
      let progress = console.progress("\(name) deletions", total: trials, unit: "trials")
      defer { progress.finish() }
      let curve = DeletionCurve(
        table, stream: stream, serving: serving, counts: steps, trials: trials, seed: seed,
        quality: { share($0, table, rule) }, onTrial: { progress.advance(by: 1) })
      return EvaluationReport.Stream(
        stream: name, aggregation: rule, serving: serving, points: curve.points)
    }
  }

  /// - Parameter shardCount: over how many the mean depth is; by default over all.
  private func score(
    _ served: [PrefixLogits.Prefix], _ table: PrefixLogits, _ rule: Aggregation,
    shardCount: Int? = nil
  ) -> EvaluationReport.Score {
    let depths = Dictionary(grouping: served, by: \.shard).values.map { shard in
      shard.map(\.depth).max() ?? 0
    }
    let depth = Double(depths.reduce(0, +)) / Double(shardCount ?? table.shardCount)
    guard let scores = table.scores(of: served, by: rule) else {
      return EvaluationReport.Score(meanDepth: depth, quality: nil, deviation: nil)
    }
    if let values {
      return EvaluationReport.Score(
        meanDepth: depth, quality: nil, deviation: Deviation(scores, values: values))
    }
    return EvaluationReport.Score(
      meanDepth: depth, quality: Quality(scores, labels: labels, by: rule), deviation: nil)
  }

  /// Accuracy, or the share of the variance that is accounted for; of no answer, a guess's.
  private func share(
    _ served: [PrefixLogits.Prefix], _ table: PrefixLogits, _ rule: Aggregation
  ) -> Double {
    guard let scores = table.scores(of: served, by: rule) else {
      return values == nil ? 1 / Double(subject.recipe.labels.count) : 0
    }
    if let values { return Deviation(scores, values: values).determination }
    return Quality.accuracy(scores, labels: labels)
  }

  private var labels: [Int] {
    targets.compactMap { if case .label(let label) = $0 { label } else { nil } }
  }

  /// `nil` where records name classes.
  private var values: [Double]? {
    subject.recipe.labels.count > 1
      ? nil : targets.compactMap { if case .value(let value) = $0 { value } else { nil } }
  }

  private func membership(_ members: [Record]) throws -> EvaluationReport.Membership {
    let memberTargets = try members.map(subject.target)
    func tests(
      _ subject: EvaluationSubject, _ strangers: PrefixLogits, _ table: PrefixLogits
    ) throws -> (loss: MembershipTest, confidence: MembershipTest) {
      let served = table.answering(serving)
      guard let found = table.scores(of: served, by: rule),
        let others = strangers.scores(of: strangers.answering(serving), by: rule)
      else {
        throw ServiceError(
          .unavailable, "no shard of \(subject.status.run) serves anything now",
          try: "wait for training or repair")
      }
      return (
        MembershipTest(
          members: zip(found, memberTargets).map { -loss($0, $1) },
          strangers: zip(others, targets).map { -loss($0, $1) }),
        MembershipTest(members: found.map(confidence), strangers: others.map(confidence))
      )
    }
    let own = try subject.logits(of: members, console)
    let (byLoss, byConfidence) = try tests(subject, table, own)
    var membership = EvaluationReport.Membership(
      members: members.count, strangers: texts.count, byLoss: byLoss, byConfidence: byConfidence)
    if let path = arguments.string(ifGiven: "compare") {
      let other = try EvaluationSubject(path)
      let strangers = try other.logits(of: texts, console)
      let found = try other.logits(of: members, console)
      let (byLoss, byConfidence) = try tests(other, strangers, found)
      membership.compared = EvaluationReport.Comparison(
        run: other.status.run, byLoss: byLoss, byConfidence: byConfidence,
        isIdentical: strangers == table && found == own)
    }
    return membership
  }

  private func loss(_ scores: [Double], _ target: Target) -> Double {
    switch target {
    case .label(let label): Quality.loss(scores, label: label, by: rule)
    case .value(let value): (scores[0] - value) * (scores[0] - value)
    }
  }

  /// The highest probability; a number is always as sure as any other.
  private func confidence(_ scores: [Double]) -> Double {
    Quality.probabilities(scores, by: rule).max() ?? 0
  }
}

extension EvaluationSubject {
  fileprivate func target(_ record: Record) throws -> Target {
    guard let target = recipe.target(record.label) else {
      throw ServiceError(
        .badData, "\(record.id): \(record.label) is none of the run's labels",
        try: "correct the file")
    }
    return target
  }
}

private func text(_ report: EvaluationReport) -> String {
  func row(_ name: String, _ score: EvaluationReport.Score) -> [String] {
    let depth = Humanized.fixed(score.meanDepth, digits: 2)
    if let quality = score.quality {
      return [name, depth]
        + [
          quality.accuracy, quality.macroF1, quality.loss, quality.brier, quality.calibrationError,
        ].map { Humanized.fixed($0, digits: 4) }
    }
    return [name, depth]
      + [score.deviation?.determination ?? 0, score.deviation?.meanSquaredError ?? 0].map {
        Humanized.fixed($0, digits: 4)
      }
  }
  let isClassifier = report.labels.count > 1
  var scores = TextTable(
    [.left("what answers"), .right("mean depth")]
      + (isClassifier
      ? ["accuracy", "macro-F1", "loss", "Brier", "ECE"] : ["R2", "squared error"]).map {
        .right($0)
      })
  for ensemble in report.ensembles {
    let name = "\(ensemble.layout), \(Humanized.count(ensemble.sequences, "sequence"))"
    scores.append(row(name, ensemble.served))
    for score in ensemble.byDepth.dropLast() {
      scores.append(row("  to depth \(score.maximumDepth ?? 0)", score))
    }
  }
  for shard in report.members { scores.append(row("shard \(shard.shard) alone", shard.score)) }
  for rule in report.rules
  where (rule.aggregation, rule.serving) != (report.aggregation, report.serving) {
    let way = rule.serving == .deepest ? "" : ", \(rule.serving.rawValue)"
    scores.append(row("by \(rule.aggregation.rawValue)\(way)", rule.score))
  }
  var parts = [
    "\(report.run): \(Humanized.count(report.records, "training record")), "
      + "evaluated on \(Humanized.count(report.texts, "text")), by \(report.aggregation.rawValue)",
    scores.text,
    deletionTable(report),
    costTable(report),
  ]
  if let membership = report.membership { parts.append(membershipTable(membership)) }
  return parts.joined(separator: "\n\n")
}

private func deletionTable(_ report: EvaluationReport) -> String {
  let streams = report.ensembles.flatMap { ensemble in
    report.ownStreams(of: ensemble).map { (ensemble, $0) }
  }
  var table = TextTable(
    [.right("deletions")]
      + streams.map { .right("\($0.0.layout) \($0.1.stream)") })
  let points = streams.first?.1.points ?? []
  let marks = Set((0...10).map { (points.count - 1) * $0 / 10 }).filter { $0 >= 0 }.sorted()
  for place in marks {
    table.append(
      ["\(points[place].deletions)"]
        + streams.map { _, stream in
          let point = stream.points[place]
          return Humanized.fixed(point.quality, digits: 4)
            + " (\(Humanized.fixed(point.meanDepth, digits: 2)))"
        })
  }
  return """
    \(report.labels.count > 1 ? "accuracy" : "R2") and mean depth after deletions, nothing repaired
    \(table.text)
    """
}

private func costTable(_ report: EvaluationReport) -> String {
  var table = TextTable([
    .left("retraining after a deletion"), .right("blocks"), .right("slice passes"),
    .right("record passes"), .right("layer passes"), .right("of full"),
  ])
  let costs =
    report.ensembles.map {
      ("\($0.layout), \(Humanized.count($0.sequences, "sequence"))", $0.repair)
    }
    + [("full: one adapter on all records", report.fullRetraining)]
  for (name, cost) in costs {
    table.append([
      name, Humanized.fixed(cost.blocks, digits: 1), Humanized.fixed(cost.slicePasses, digits: 1),
      Humanized.fixed(cost.recordPasses, digits: 0), Humanized.fixed(cost.layerPasses, digits: 0),
      Humanized.fixed(100 * cost.layerPasses / report.fullRetraining.layerPasses, digits: 1) + " %",
    ])
  }
  return table.text
}

private func membershipTable(_ membership: EvaluationReport.Membership) -> String {
  var table = TextTable([
    .left("told from strangers"), .right("AUC by loss"), .right("TPR at 1 % FPR"),
    .right("AUC by confidence"), .right("TPR at 1 % FPR"),
  ])
  func append(_ name: String, _ loss: MembershipTest, _ confidence: MembershipTest) {
    table.append(
      [name]
        + [
          loss.area, loss.truePositiveRateAtOnePercent, confidence.area,
          confidence.truePositiveRateAtOnePercent,
        ].map { Humanized.fixed($0, digits: 4) })
  }
  append("\(membership.members) records here", membership.byLoss, membership.byConfidence)
  guard let other = membership.compared else { return table.text }
  append("the same in \(other.run)", other.byLoss, other.byConfidence)
  return """
    \(table.text)
    the two runs' answers are \(other.isIdentical ? "the same, bit for bit" : "NOT the same")
    """
}
