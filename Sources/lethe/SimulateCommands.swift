import ByteCoding
import CommandLineKit
import Forecast
import Hashing
import ServiceSupport
import SystemIO
import Unlearning

/// `lethe simulate`: what would happen, on paper.
let simulateCommand = Command(
  name: "simulate", summary: "what if, on paper: no data, no training",
  verbs: [simulateDeletionsCommand, simulateWorstCaseCommand, simulateCapacityCommand])

private let shapeOptions = [
  CommandOption("shards", .integer(1...4096), default: "5", help: "Shards."),
  CommandOption(
    "slices", .integer(1...DeletionForecast.sliceLimit), default: "4", help: "Slices a shard."),
  CommandOption("budget", .integer(1...256), default: "4", help: "Sequences a shard."),
  CommandOption(
    "sequences", .choice(["cyclic", "matching", "sampling"]), default: "cyclic",
    help: """
      How sequences are chosen: by rotation; by matching, so that slices that are likely to lose a \
      record come late; or by drawing them in that sense.
      """),
  CommandOption(
    "probabilities", .path, placeholder: "FILE",
    help: """
      Numbers from 0 to 1, one a slice, between spaces, commas or line ends: how likely a deletion \
      falls there. Default: everywhere alike.
      """),
  CommandOption("seed", .integer(0...Int.max), default: "1", help: "Of everything drawn."),
]

private let simulateDeletionsCommand = Command(
  name: "deletions", summary: "how many deletions an ensemble survives without repair",
  discussion: """
    Deletions fall on slices at random and nothing is repaired. Says after how many the first \
    shard serves nothing, and after how many none does, with what theory says beside it where \
    deletions fall everywhere alike; and how many blocks a shard still serves after each.
    """,
  options: shapeOptions + [
    CommandOption("trials", .integer(1...10_000_000), default: "4000", help: "Times to try.")
  ],
  examples: [
    Example(
      "lethe simulate deletions --shards 5 --slices 4 --budget 1", "SISA: one sequence a shard.")
  ]
) { arguments, console in
  let shape = try SimulatedShape(arguments)
  let trials = arguments.integer("trials")
  let progress = console.progress("trials", total: trials, unit: "trials")
  let result = shape.forecast.run(trials: trials, seed: shape.seed) { progress.advance(by: 1) }
  progress.finish()
  guard let result else {
    throw ServiceError(
      .badData, "a slice that a sequence begins with has probability 0: no trial would end",
      try: "give every slice some probability")
  }
  try show(DeletionsReport(shape, result), arguments, console) { report in
    func text(_ silence: DeletionsReport.Silence) -> String {
      "\(Humanized.fixed(silence.mean, digits: 1)) ± "
        + Humanized.fixed(silence.standardError, digits: 1)
        + (silence.closedForm.map { " (theory \(Humanized.fixed($0, digits: 1)))" } ?? "")
    }
    var table = TextTable([.right("deletions"), .right("blocks a shard serves")])
    let last = report.meanDepthAfter.count - 1
    for step in 0...10 {
      let place = last * step / 10
      table.append(["\(place)", Humanized.fixed(report.meanDepthAfter[place], digits: 2)])
    }
    return """
      \(shape.text)
      deletions until the first shard serves nothing: \(text(report.firstShardSilent))
      deletions until no shard serves anything: \(text(report.allShardsSilent))
      \(table.text)
      """
  }
  return .ok
}

private let simulateWorstCaseCommand = Command(
  name: "worst-case", summary: "what deletions by someone who sees the lineage do",
  discussion: """
    Each deletion falls where it costs most depth, against deletions at random. Answers about \
    lineage show where; so does knowing the partition key.
    """,
  options: shapeOptions + [
    CommandOption(
      "trials", .integer(1...10_000_000), default: "4000", help: "Times to try at random.")
  ]
) { arguments, console in
  let shape = try SimulatedShape(arguments)
  let worst = WorstCase(shape.forecast)
  guard let random = shape.forecast.run(trials: arguments.integer("trials"), seed: shape.seed)
  else {
    throw ServiceError(
      .badData, "a slice that a sequence begins with has probability 0: no trial would end",
      try: "give every slice some probability")
  }
  let report = WorstCaseReport(
    diversity: shape.diversity, firstShardSilent: worst.firstShardSilent,
    allShardsSilent: worst.allShardsSilent, meanDepthAfter: worst.meanDepthAfter,
    deletions: worst.deletions.map { WorstCaseReport.Deletion(shard: $0.shard, slice: $0.slice) },
    atRandom: DeletionsReport(shape, random))
  try show(report, arguments, console) { report in
    var table = TextTable([.right("deletions"), .right("chosen"), .right("at random")])
    let last = report.meanDepthAfter.count - 1
    for step in 0...min(10, last) {
      let place = last * step / min(10, last)
      let random = report.atRandom.meanDepthAfter
      table.append([
        "\(place)", Humanized.fixed(report.meanDepthAfter[place], digits: 2),
        Humanized.fixed(place < random.count ? random[place] : 0, digits: 2),
      ])
    }
    return """
      \(shape.text)
      chosen deletions until the first shard serves nothing: \(report.firstShardSilent), at random \
      \(Humanized.fixed(report.atRandom.firstShardSilent.mean, digits: 1))
      chosen deletions until no shard serves anything: \(report.allShardsSilent), at random \
      \(Humanized.fixed(report.atRandom.allShardsSilent.mean, digits: 1))
      blocks a shard serves:
      \(table.text)
      """
  }
  return .ok
}

/// The ensemble that the options describe.
private struct SimulatedShape {
  let forecast: DeletionForecast
  let seed: UInt64
  let diversity: Double
  /// Of each sequence, where probabilities are known.
  let scores: [Double]?

  init(_ arguments: ParsedArguments) throws {
    let (slices, budget) = (arguments.integer("slices"), arguments.integer("budget"))
    seed = UInt64(arguments.integer("seed"))
    let probabilities = try arguments.string(ifGiven: "probabilities").map {
      try Self.probabilities($0, count: slices)
    }
    let even = [Double](repeating: 1 / Double(slices), count: slices)
    let sequences: [SliceSequence]
    switch arguments.string("sequences") {
    case "matching":
      sequences = Array(SliceSequence.matched(probabilities: probabilities ?? even).prefix(budget))
    case "sampling":
      sequences = SliceSequence.sampled(
        probabilities: probabilities ?? even, count: budget, seed: seed)
    default: sequences = SliceSequence.cyclic(sliceCount: slices, count: budget)
    }
    guard sequences.count == budget else {
      throw ServiceError(
        .usage, "there are only \(sequences.count) such sequences of \(slices) slices",
        try: "lower --budget, or choose --sequences sampling")
    }
    forecast = DeletionForecast(
      shardCount: arguments.integer("shards"), sequences: sequences, weights: probabilities)
    diversity = SliceSequence.diversity(sequences)
    scores = probabilities.map { known in
      sequences.map { SliceSequence.score($0.order, probabilities: known) }
    }
  }

  private static func probabilities(_ path: String, count: Int) throws -> [Double] {
    let text: String
    do {
      text = String(
        decoding: TextLines.withoutByteOrderMark(try FileSystem.read(path)), as: UTF8.self)
    } catch {
      throw ServiceError(error, while: "reading the probabilities")
    }
    let words = text.split { $0.isWhitespace || $0 == "," }
    let numbers = words.compactMap { Double($0) }.filter { (0...1).contains($0) }
    guard numbers.count == words.count, numbers.count == count, numbers.contains(where: { $0 > 0 })
    else {
      throw ServiceError(
        .badData, "\(path) does not hold \(count) numbers from 0 to 1, not all of them 0",
        try: "write one number for every slice")
    }
    return numbers
  }

  var text: String {
    let words = forecast.sequences.prefix(16).map {
      $0.order.map(String.init).joined(separator: " ")
    }
    let more = forecast.sequences.count > 16 ? ", …" : ""
    let scored = scores.map {
      "; score \(Humanized.fixed($0.reduce(0, +) / Double($0.count), digits: 4)) on average"
    }
    return """
      \(forecast.shardCount) shards of \(forecast.sliceCount) slices, sequences \
      \(words.joined(separator: ", "))\(more): they differ in \
      \(Humanized.fixed(diversity, digits: 2)) places on average\(scored ?? "")
      """
  }
}

/// What `lethe simulate deletions` prints.
private struct DeletionsReport: Encodable {
  struct Silence: Encodable {
    var mean: Double
    var standardError: Double
    /// Where deletions fall everywhere alike.
    var closedForm: Double?
  }

  var diversity: Double
  var scores: [Double]?
  var allShardsSilent: Silence
  var firstShardSilent: Silence
  /// Blocks a shard serves after 0, 1, 2, … deletions.
  var meanDepthAfter: [Double]

  init(_ shape: SimulatedShape, _ result: DeletionForecast.Result) {
    let forecast = shape.forecast
    let heads = Set(forecast.sequences.map { $0.order[0] }).count
    func silence(
      _ estimate: DeletionForecast.Estimate, _ theory: (Int, Int, Int) -> Double
    ) -> Silence {
      Silence(
        mean: estimate.mean, standardError: estimate.standardError,
        closedForm: forecast.weights == nil
          ? theory(forecast.shardCount, forecast.sliceCount, heads) : nil)
    }
    diversity = shape.diversity
    scores = shape.scores
    allShardsSilent = silence(result.allShardsSilent, ClosedForms.allShardsSilent)
    firstShardSilent = silence(result.firstShardSilent, ClosedForms.firstShardSilent)
    // Beyond the mean there is little but a few trials' luck.
    let end = Int(result.allShardsSilent.mean.rounded(.up)) + 1
    meanDepthAfter = Array(result.meanDepthAfter.prefix(end))
  }
}

/// What `lethe simulate worst-case` prints.
private struct WorstCaseReport: Encodable {
  struct Deletion: Encodable {
    var shard: Int
    var slice: Int
  }

  var diversity: Double
  var firstShardSilent: Int
  var allShardsSilent: Int
  var meanDepthAfter: [Double]
  var deletions: [Deletion]
  var atRandom: DeletionsReport
}
