package import Unlearning

/// What every prefix that a run could serve says of the texts of an evaluation.
///
/// Everything an evaluation reports follows from it: masking a block takes rows away and computes
/// none anew.
package struct PrefixLogits: Equatable, Sendable {
  /// The first `depth` blocks of one sequence of one shard.
  package struct Prefix: Hashable, Comparable, Sendable {
    package let shard: Int
    package let sequence: Int
    package let depth: Int

    package init(shard: Int, sequence: Int, depth: Int) {
      self.shard = shard
      self.sequence = sequence
      self.depth = depth
    }

    package static func < (left: Self, right: Self) -> Bool {
      (left.shard, left.sequence, left.depth) < (right.shard, right.sequence, right.depth)
    }
  }

  package let shardCount: Int
  /// The slice orders, the same in every shard.
  package let sequences: [SliceSequence]
  /// Logits by prefix: one row per text. A prefix whose blocks do not all stand is missing.
  private var rows: [Prefix: [[Double]]] = [:]

  package init(shardCount: Int, sequences: [SliceSequence]) {
    self.shardCount = shardCount
    self.sequences = sequences
  }

  package subscript(prefix: Prefix) -> [[Double]]? {
    get { rows[prefix] }
    set { rows[prefix] = newValue }
  }

  package var sliceCount: Int { sequences[0].order.count }

  /// What a shard serves once some of its slices have lost a record: of the prefixes that stand the
  /// deepest, of equals that of the lowest sequence.
  package func served(shard: Int, tainted: Set<Int> = [], maximumDepth: Int = .max) -> Prefix? {
    var best: Prefix?
    for sequence in sequences.indices {
      let prefix = longest(shard, sequence, tainted, maximumDepth)
      if let prefix, prefix.depth > best?.depth ?? 0 { best = prefix }
    }
    return best
  }

  /// What answers under a rule, shard by shard.
  package func answering(
    _ rule: ServingRule, tainted: [Int: Set<Int>] = [:], maximumDepth: Int = .max
  ) -> [Prefix] {
    switch rule {
    case .deepest: served(tainted: tainted, maximumDepth: maximumDepth).compactMap { $0 }
    case .everySequence:
      (0..<shardCount).flatMap { shard in
        sequences.indices.compactMap { sequence in
          longest(shard, sequence, tainted[shard] ?? [], maximumDepth)
        }
      }
    }
  }

  private func longest(
    _ shard: Int, _ sequence: Int, _ tainted: Set<Int>, _ maximumDepth: Int
  ) -> Prefix? {
    let most = min(sequences[sequence].survivingPrefixCount(tainted: tainted), maximumDepth)
    return stride(from: most, to: 0, by: -1).lazy
      .map { Prefix(shard: shard, sequence: sequence, depth: $0) }
      .first { rows[$0] != nil }
  }

  /// What all shards serve; `nil` where a shard is silent.
  package func served(tainted: [Int: Set<Int>] = [:], maximumDepth: Int = .max) -> [Prefix?] {
    (0..<shardCount).map {
      served(shard: $0, tainted: tainted[$0] ?? [], maximumDepth: maximumDepth)
    }
  }

  /// One row of scores per text; `nil` if no prefix is given.
  package func scores(of prefixes: [Prefix], by rule: Aggregation) -> [[Double]]? {
    let members = prefixes.compactMap { prefix in rows[prefix].map { (prefix.depth, $0) } }
    guard let textCount = members.first?.1.count else { return nil }
    return (0..<textCount).map { text in
      rule.scores(of: members.map { ShardAnswer(depth: $0, logits: $1[text]) })
    }
  }

  /// The same without all but the first sequences, as if the run had been trained with fewer.
  package func keeping(sequenceCount: Int) -> PrefixLogits {
    var kept = PrefixLogits(
      shardCount: shardCount, sequences: Array(sequences.prefix(sequenceCount)))
    kept.rows = rows.filter { $0.key.sequence < sequenceCount }
    return kept
  }
}
