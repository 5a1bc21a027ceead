import Unlearning

/// How a shard stands, kept until something about the shard changes: what people ask for must not
/// cost a look at every block.
package struct ShardReport: Equatable, Sendable {
  /// What the shard answers with; `nil` where nothing can serve.
  package fileprivate(set) var served: ServedPrefix?
  /// Of every sequence, how many blocks from the first can serve.
  package fileprivate(set) var sequenceDepths: [Int] = []
  package fileprivate(set) var trainedCount = 0
  /// What training the standing blocks took, by stage.
  package fileprivate(set) var work: [StageWork]
  /// Slots without a block by the word for what keeps them from being trained, whoever the workers
  /// are.
  fileprivate var waiting: [String: Int] = [:]
  /// Slots that only a worker is missing for.
  fileprivate var readyCount = 0
  /// Since when the first of them has waited.
  var readySince: Milliseconds?
  /// Bytes of the standing blocks.
  package fileprivate(set) var artifactByteCount: UInt64 = 0
  /// Slots that were masked or have failed: what they wait for changes with time, with the workers
  /// there are, and with deletions elsewhere.
  var unsettled: [BlockSlot] = []

  fileprivate init(stageCount: Int) {
    work = Array(repeating: StageWork(), count: stageCount)
  }

  fileprivate mutating func noteWait(since: Milliseconds) {
    readySince = min(readySince ?? since, since)
  }
}

/// What training blocks of one stage took.
package struct StageWork: Equatable, Sendable {
  package var blockCount = 0
  package var examples: UInt64 = 0
  package var seconds = 0.0
  package var gemmSeconds = 0.0
  package var slicesKept: UInt64 = 0
  package var slicesComputed: UInt64 = 0

  package init() {}

  /// Nothing that was ever journalled may end the process that reports it: sums stop at the largest
  /// number.
  fileprivate mutating func add(_ work: TrainingWork) {
    let work = work.bounded
    blockCount += 1
    examples = examples.addingOrLargest(work.examples)
    seconds += work.seconds
    gemmSeconds += work.gemmSeconds
    slicesKept = slicesKept.addingOrLargest(UInt64(work.slicesKept))
    slicesComputed = slicesComputed.addingOrLargest(UInt64(work.slicesComputed))
  }

  package mutating func add(_ other: StageWork) {
    blockCount += other.blockCount
    examples = examples.addingOrLargest(other.examples)
    seconds += other.seconds
    gemmSeconds += other.gemmSeconds
    slicesKept = slicesKept.addingOrLargest(other.slicesKept)
    slicesComputed = slicesComputed.addingOrLargest(other.slicesComputed)
  }
}

extension UInt64 {
  /// The sum, or the largest number there is.
  package func addingOrLargest(_ other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}

extension Coordinator {
  /// Every shard's report, in their order.
  ///
  /// Only shards that something has happened to since the last time are looked at.
  package mutating func refreshedReports() -> [ShardReport] {
    for shard in queue.takeUnreported() { reports[shard] = nil }
    return reports.indices.map { shard in
      if let known = reports[shard] { return known }
      let report = report(ofShard: shard)
      reports[shard] = report
      return report
    }
  }

  private func report(ofShard shard: Int) -> ShardReport {
    var report = ShardReport(stageCount: state.plan.sliceCount)
    report.served = state.servedPrefix(shard: shard)
    report.sequenceDepths = state.plan.sequences.indices.map {
      state.depth(shard: shard, sequence: $0)
    }
    var counted: Set<BlockKey> = []
    for slot in state.plan.slots(ofShard: shard) {
      if let block = state.block(at: slot) {
        report.trainedCount += 1
        if counted.insert(block.key).inserted {
          report.work[slot.stage - 1].add(block.work)
          report.artifactByteCount = report.artifactByteCount.addingOrLargest(block.byteCount)
        }
        continue
      }
      let hasFailed = state.expectedKeys[slot].map { failures[$0] != nil } ?? false
      if hasFailed || state.maskedSince[slot] != nil {
        report.unsettled.append(slot)
        continue
      }
      switch standstill(of: slot) {
      case nil:
        report.readyCount += 1
        report.noteWait(since: waitingSince(slot))
      case .training: break
      case .some(let reason):
        report.waiting[reason.word, default: 0] += 1
        // The first worker of all fixes the numeric class, and with it what there is to train.
        if reason == .noWorkers, slot.parent == nil, state.isTrainingRequested {
          report.noteWait(since: waitingSince(slot))
        }
      }
    }
    return report
  }

  /// Slots without a block that nobody trains, by the word for the reason.
  package func waitingCounts(_ reports: [ShardReport]) -> [String: Int] {
    var counts: [String: Int] = [:]
    for report in reports {
      counts.merge(report.waiting) { $0 + $1 }
      for slot in report.unsettled {
        let reason = waitingReason(of: slot)
        if reason != .training { counts[reason?.word ?? Self.queued, default: 0] += 1 }
      }
      if report.readyCount > 0 {
        counts[reasonForAll?.word ?? Self.queued, default: 0] += report.readyCount
      }
    }
    return counts
  }

  /// A worker is about to take it.
  private static let queued = "queued"
}
