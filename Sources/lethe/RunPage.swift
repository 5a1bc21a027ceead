import CommandLineKit
import CoordinatorAPI
import Evaluation
import Forecast
import Foundation
import Reporting
import ServiceSupport
import Unlearning

/// The page of `lethe report`: what is said, and what is drawn of it.
struct RunPage {
  let view: ReportedRun
  let evaluation: EvaluationReport
  /// Evaluations of other runs, to compare with.
  let others: [EvaluationReport]

  var page: Page {
    Page(
      title: "\(evaluation.run): what it answers, forgets and costs",
      lead: """
        \(Humanized.count(evaluation.records, "record")) in \
        \(Humanized.count(evaluation.shards, "shard")) of \
        \(Humanized.count(evaluation.slices, "slice")), layout \(view.status.layout); \
        evaluated on \(Humanized.count(evaluation.texts, "text")) that nothing was trained on. \
        State of journal entry \(evaluation.journalSequence).
        """,
      [summary, blocks, answers, forgetting, cost, deletions, membership, training, provenance]
        .compactMap { $0 })
  }

  private var measure: String { evaluation.labels.count > 1 ? "accuracy" : "R²" }

  private var heading: String { measure.prefix(1).uppercased() + measure.dropFirst() }

  private func percent(_ share: Double) -> String { Humanized.fixed(100 * share, digits: 1) + " %" }

  // MARK: - State

  private var summary: Page.Section {
    let status = view.status
    let served = evaluation.ensembles[0].served
    let finished = view.deletions.count { $0.certifiedAt != nil }
    let overdue = view.deletions.count { $0.isOverdue }
    var sentences = [
      "The run answers with \(percent(served.share)) \(measure)."
    ]
    if view.deletions.isEmpty {
      sentences.append("Nobody has asked for a deletion yet.")
    } else {
      sentences.append(
        "\(Humanized.count(status.deleted, "record was", plural: "records were")) deleted in "
          + "\(Humanized.count(view.deletions.count, "request")) (\(finished) certified, "
          + "\(overdue) overdue). "
          + "No block that is served was trained on a deleted record."
      )
    }
    if !status.alarms.isEmpty {
      sentences.append("Alarms: \(status.alarms.joined(separator: "; ")).")
    }
    return Page.Section(
      "In short",
      [
        .paragraph(sentences.joined(separator: " ")),
        .facts([
          (measure, percent(served.share)),
          ("records", Humanized.count(status.records)),
          ("deleted", Humanized.count(status.deleted)),
          ("blocks that stand", "\(status.blocksTrained) of \(status.blocks)"),
          (
            "shards that serve",
            "\(status.shards.count { $0.depth > 0 }) of \(status.shards.count)"
          ),
          ("mean depth", Humanized.fixed(served.meanDepth, digits: 2) + " of \(evaluation.slices)"),
        ]),
      ])
  }

  private var blocks: Page.Section {
    let rows = view.lineages.map { lineage in
      GridChart.Row(
        "shard \(lineage.shard)",
        lineage.sequences.map { sequence in
          sequence.blocks.map { block in
            GridChart.Cell(
              state: block.state,
              title: "sequence \(sequence.sequence), stage \(block.stage), layers "
                + "\(block.layers.map(String.init).joined(separator: ",")), slices "
                + "\(block.slices.map(String.init).joined(separator: ",")): \(block.state)"
                + (block.reason.map { ", \($0)" } ?? ""))
          }
        })
    }
    let status = view.status
    return Page.Section(
      "Blocks",
      [
        .paragraph(
          """
          Every square is a block: one group of layers, trained on the slices that its sequence \
          has reached. A deletion masks, in each sequence of one shard, the blocks from the \
          record's slice on; a shard serves its longest row of blocks that stand.
          """),
        .figure(
          title: "Blocks by shard and sequence",
          GridChart(
            """
            \(status.blocksTrained) of \(status.blocks) blocks stand, \(status.blocksMasked) are \
            masked and \(status.blocksTraining) are being trained.
            """, rows)),
      ])
  }

  // MARK: - Quality

  private func name(_ report: EvaluationReport, _ ensemble: EvaluationReport.Ensemble) -> String {
    let shape =
      "\(ensemble.layout), m=\(report.shards) L=\(report.slices) B=\(ensemble.sequences)"
    return report.run == evaluation.run ? shape : "\(shape) (\(report.run))"
  }

  /// This run's ensembles, then the others as they are, each with a colour of its own.
  private var ensembles:
    [(report: EvaluationReport, ensemble: EvaluationReport.Ensemble, colour: Int)]
  {
    let all =
      evaluation.ensembles.map { (evaluation, $0) } + others.map { ($0, $0.ensembles[0]) }
    return all.enumerated().map { ($1.0, $1.1, $0 % 8) }
  }

  private var answers: Page.Section {
    let rows = ensembles.flatMap { report, ensemble, _ in
      [Self.row(name(report, ensemble), ensemble.served)]
    }
    let rules = evaluation.rules.map {
      Self.row(
        "this run, \($0.serving.rawValue), by \($0.aggregation.rawValue)", $0.score)
    }
    let head =
      measure == "accuracy"
      ? ["what answers", "depth", "accuracy", "macro-F1", "loss", "Brier", "calibration error"]
      : ["what answers", "depth", "R²", "mean squared error"]
    let depths = ensembles.filter { $0.ensemble.byDepth.count > 1 }
    var parts: [Page.Part] = [.table([head] + rows + rules)]
    let whole = evaluation.ensembles[0].served
    if !depths.isEmpty {
      let series = depths.map { report, ensemble, colour in
        LineChart.Series(
          name(report, ensemble),
          ensemble.byDepth.map { (x: Double($0.maximumDepth ?? 0), y: $0.share) }, colour: colour)
      }
      parts.append(
        .figure(
          title: "\(heading) by depth",
          LineChart(
            "What shards answer if they may serve no more than so many blocks.",
            x: Axis(
              "blocks a shard serves at most", series.flatMap { $0.points.map(\.x) },
              isWhole: true),
            y: Axis("\(measure), share", series.flatMap { $0.points.map(\.y) }), series)))
    }
    parts.append(
      .figure(
        title: "\(heading) of each shard alone",
        BarChart(
          "How good single members are; the ensemble has \(percent(whole.share)).",
          Axis("\(measure), share", evaluation.members.map(\.score.share), fromZero: true),
          evaluation.members.map {
            BarChart.Bar("shard \($0.shard), depth \($0.depth)", $0.score.share, colour: 0)
          }, text: { Humanized.fixed($0, digits: 4) })))
    return Page.Section("Answers", parts)
  }

  private static func row(_ name: String, _ score: EvaluationReport.Score) -> [String] {
    let numbers =
      score.quality.map { [$0.accuracy, $0.macroF1, $0.loss, $0.brier, $0.calibrationError] }
      ?? score.deviation.map { [$0.determination, $0.meanSquaredError] } ?? []
    return [name, Humanized.fixed(score.meanDepth, digits: 2)]
      + numbers.map { Humanized.fixed($0, digits: 4) }
  }

  // MARK: - Forgetting without repair

  private var forgetting: Page.Section? {
    let curves = ensembles.compactMap { report, ensemble, colour in
      report.ownStreams(of: ensemble).first { $0.stream == "uniform" }
        .map { (report, ensemble, colour, $0.points) }
    }
    guard !curves.isEmpty else { return nil }
    let quality = curves.map { report, ensemble, colour, points in
      LineChart.Series(
        name(report, ensemble), points.map { (x: Double($0.deletions), y: $0.quality) },
        deviations: points.map(\.deviation), colour: colour)
    }
    let deletions = Axis(
      "records deleted, nothing repaired", quality.flatMap { $0.points.map(\.x) }, isWhole: true)
    var depth: [LineChart.Series] = []
    for (report, ensemble, colour, points) in curves where report.run == evaluation.run {
      let name = name(report, ensemble)
      depth.append(
        LineChart.Series(
          "\(name), measured", points.map { (x: Double($0.deletions), y: $0.meanDepth) },
          colour: colour))
      depth.append(
        LineChart.Series(
          "\(name), theory", theory(ensemble, upTo: points.last?.deletions ?? 0), colour: colour))
    }
    var parts: [Page.Part] = [
      .paragraph(
        """
        What happens while nobody repairs: each deletion masks blocks, and the shards serve what \
        is left. Where nothing is left, a guess is counted. Deletions fall on all records alike; \
        bands show the deviation between trials.
        """),
      .figure(
        title: "\(heading) after deletions",
        LineChart(
          "How answers fall as records leave at random and nothing is repaired.", x: deletions,
          y: Axis("\(measure), share", quality.flatMap { $0.points.map(\.y) }), quality)),
      .figure(
        title: "Depth after deletions, theory against measurement",
        LineChart(
          """
          Blocks that a shard serves on average: of this run's records, and of the theory in which \
          every slice is hit alike.
          """, x: deletions,
          y: Axis(
            "blocks a shard serves", depth.flatMap { $0.points.map(\.y) }, fromZero: true), depth)),
    ]
    let streams = ensembles.filter { $0.report.run == evaluation.run }
      .flatMap { report, ensemble, colour in
        report.ownStreams(of: ensemble).enumerated().map { index, stream in
          LineChart.Series(
            "\(stream.stream), B=\(ensemble.sequences)",
            stream.points.map { (x: Double($0.deletions), y: $0.quality) },
            colour: (colour * 4 + index) % 8)
        }
      }
    parts.append(
      .figure(
        title: "\(heading) by who leaves",
        LineChart(
          "Records leave at random, person by person, or chosen by someone who sees the lineage.",
          x: deletions, y: Axis("\(measure), share", streams.flatMap { $0.points.map(\.y) }),
          streams)
      ))
    parts.append(.table(silenceTable(curves.map { ($0.0, $0.1, $0.3) })))
    return Page.Section("Forgetting without repair", parts)
  }

  private func theory(_ ensemble: EvaluationReport.Ensemble, upTo last: Int)
    -> [(x: Double, y: Double)]
  {
    let forecast = DeletionForecast(
      shardCount: evaluation.shards,
      sequences: Array(orders.prefix(ensemble.sequences)))
    let depths = forecast.run(trials: 2000, seed: 1)?.meanDepthAfter ?? []
    return (0...last).map { (x: Double($0), y: $0 < depths.count ? depths[$0] : 0) }
  }

  private var orders: [SliceSequence] {
    view.lineages[0].sequences.map { SliceSequence($0.order) }
  }

  /// How many deletions until nothing answers, where the stream was long enough to see it.
  private func silenceTable(
    _ curves: [(EvaluationReport, EvaluationReport.Ensemble, [DeletionCurve.Point])]
  ) -> [[String]] {
    [["deletions until no shard serves anything", "closed form", "measured"]]
      + curves.map { report, ensemble, points in
        let closed = ClosedForms.allShardsSilent(
          shards: report.shards, slices: report.slices,
          heads: min(ensemble.sequences, report.slices))
        var measured = "more than \(points.last?.deletions ?? 0)"
        if let last = points.last, last.silentShare > 0.99, points.count > 1 {
          // The mean of a waiting time is the sum of the chances to wait longer.
          let mean = zip(points, points.dropFirst()).reduce(0.0) {
            $0 + (1 - $1.0.silentShare) * Double($1.1.deletions - $1.0.deletions)
          }
          measured = Humanized.fixed(mean, digits: 1)
        }
        return [name(report, ensemble), Humanized.fixed(closed, digits: 1), measured]
      }
  }

  // MARK: - Cost and deletions

  private var cost: Page.Section {
    let bars =
      ensembles.map { report, ensemble, colour in
        BarChart.Bar(name(report, ensemble), ensemble.repair.layerPasses, colour: colour)
      }
      + [
        BarChart.Bar(
          "one adapter on all records again", evaluation.fullRetraining.layerPasses, colour: 7)
      ]
    return Page.Section(
      "What a deletion costs to repair",
      [
        .paragraph(
          """
          Counted on the plan: records that the masked blocks read in one epoch, times the layers \
          that run above the frozen ones, on average over all records that may leave. Layers below \
          are computed once and kept.
          """),
        .figure(
          title: "Retraining after one deletion",
          BarChart(
            "One deletion takes this much training before the run is whole again.",
            Axis("records × layers in an epoch", bars.map(\.value), fromZero: true), bars,
            text: { Humanized.count(Int($0.rounded())) })),
      ])
  }

  private var deletions: Page.Section? {
    let items = view.deletions
    guard !items.isEmpty else { return nil }
    func waits(_ end: (DeletionList.Item) -> String?) -> [Double] {
      items.compactMap { item in
        guard let from = Self.seconds(item.maskedAt), let to = end(item).flatMap(Self.seconds)
        else { return nil }
        // Times are whole milliseconds.
        return max(to - from, 0.001)
      }.sorted()
    }
    let states: [(name: String, seconds: [Double])] = [
      ("purged", waits(\.purgedAt)), ("repaired", waits(\.repairedAt)),
      ("certified", waits(\.certifiedAt)),
    ]
    let series = states.enumerated().filter { !$1.seconds.isEmpty }.map { index, state in
      LineChart.Series(
        state.name,
        state.seconds.enumerated().map {
          (x: $1, y: Double($0 + 1) / Double(items.count))
        }, colour: index)
    }
    let rows = states.map { name, seconds in
      [name, "\(seconds.count) of \(items.count)"]
        + [0.5, 0.95, 1].map { share in
          guard !seconds.isEmpty else { return "–" }
          let place = Int((Double(seconds.count) * share).rounded(.up)) - 1
          return Humanized.duration(seconds: seconds[max(place, 0)])
        }
    }
    return Page.Section(
      "Deletions",
      [
        .paragraph(
          """
          A deletion is acknowledged once it is on disk and masked: from then on nothing that is \
          served depends on the records. These are the times from there to the states that follow.
          """),
        .figure(
          title: "From masked to purged, repaired and certified",
          LineChart(
            "Share of deletions that had reached a state after so long.",
            x: Axis(
              "seconds since the deletion was masked (logarithmic)", states.flatMap(\.seconds),
              isLogarithmic: true),
            y: Axis("share of deletions", [0, 1]), series)),
        .table([["state", "reached", "median", "95 %", "longest"]] + rows),
      ])
  }

  private static func seconds(_ text: String) -> Double? {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    return (try? style.parse(text)).map(\.timeIntervalSinceReferenceDate)
  }

  private var membership: Page.Section? {
    guard let membership = evaluation.membership else { return nil }
    func row(_ name: String, _ loss: MembershipTest, _ confidence: MembershipTest) -> [String] {
      [name]
        + [
          loss.area, loss.truePositiveRateAtOnePercent, confidence.area,
          confidence.truePositiveRateAtOnePercent,
        ].map { Humanized.fixed($0, digits: 4) }
    }
    var rows = [
      [
        "answers of", "AUC by loss", "TPR at 1 % FPR", "AUC by confidence", "TPR at 1 % FPR",
      ], row("this run", membership.byLoss, membership.byConfidence),
    ]
    var sentence = """
      Can one tell \(Humanized.count(membership.members, "record")) from \
      \(Humanized.count(membership.strangers, "text")) never trained on? An area of 0.5 is a guess.
      """
    if let other = membership.compared {
      rows.append(row(other.run, other.byLoss, other.byConfidence))
      sentence +=
        other.isIdentical
        ? " Every logit is the same, bit for bit, as in \(other.run): the two are one model."
        : " The logits of \(other.run) are others."
    }
    return Page.Section("Membership", [.paragraph(sentence), .table(rows)])
  }

  private var training: Page.Section? {
    let losses = view.blocks.compactMap { block in
      block.finalLoss.map { (block.sequence, block.stage, $0) }
    }
    guard !losses.isEmpty else { return nil }
    let series = Set(losses.map(\.0)).sorted().prefix(8).map { sequence in
      let stages = Dictionary(grouping: losses.filter { $0.0 == sequence }, by: \.1).sorted {
        $0.key < $1.key
      }
      let means = stages.map { stage, blocks in
        (x: Double(stage), y: blocks.reduce(0) { $0 + $1.2 } / Double(blocks.count))
      }
      let deviations = zip(means, stages).map { mean, stage in
        let squares = stage.value.reduce(0) { $0 + ($1.2 - mean.y) * ($1.2 - mean.y) }
        return (squares / Double(max(stage.value.count - 1, 1))).squareRoot()
      }
      return LineChart.Series(
        "sequence \(sequence)", means, deviations: deviations, colour: sequence % 8)
    }
    let speeds = view.status.stages.map { stage in
      [
        "\(stage.stage)", stage.layers.map(String.init).joined(separator: ","), "\(stage.blocks)",
        Humanized.rate(stage.examplesPerSecond), percent(stage.gemmShare),
      ]
    }
    return Page.Section(
      "Training",
      [
        .figure(
          title: "Loss at the end of each stage",
          LineChart(
            "Loss of the last step of a stage, mean over shards; bands show how shards differ.",
            x: Axis("stage", series.flatMap { $0.points.map(\.x) }, isWhole: true),
            y: Axis("loss of the last step, nats", series.flatMap { $0.points.map(\.y) }),
            Array(series))),
        .table(
          [["stage", "layers", "blocks", "examples a second", "in matrix products"]] + speeds),
      ])
  }

  private var provenance: Page.Section {
    let status = view.status
    return Page.Section(
      "Where this comes from",
      [
        .table([
          ["what", "value"],
          ["run", status.run],
          ["journal entry", "\(evaluation.journalSequence)"],
          ["ledger", "\(status.ledgerSize) entries, root \(status.ledgerRoot.prefix(16))…"],
          ["numeric class", status.numericClass ?? "not fixed yet"],
          ["answers combined by", evaluation.aggregation.rawValue],
          ["repair", status.repair.rule],
        ]),
        .paragraph(
          """
          Every block that is served is bit for bit the block that a fresh run on the retained \
          records would produce, in the same numeric class. Masked means that nothing served \
          depends on the record, not that answers are distributed as those of a fresh run of full \
          depth; who kept an old model can still compare. Anyone with the data can check:
          """),
        .commands("lethe verify --full\nlethe ledger checkpoint\nlethe evaluate --format json"),
      ])
  }
}
