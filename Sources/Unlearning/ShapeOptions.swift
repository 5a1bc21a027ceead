/// The parts of a run's shape that most runs leave as they are.
package struct ShapeOptions: Equatable, Sendable {
  /// How many layers each block trains, the topmost block first; what is left at the bottom is
  /// never trained, and a block of none is a head alone. `nil`: all layers, as evenly as they go.
  package var layersPerBlock: [Int]?
  /// The orders of the slices; `nil`: `SliceSequence.cyclic`.
  package var orders: [SliceSequence]?
  /// Gathers the likely leavers: a record whose declared probability of a deletion reaches k of
  /// these numbers lies in slice k. One number less than slices, ascending. `nil`, and where a
  /// record declares nothing: by its id.
  package var sliceThresholds: [Double]?

  package init(
    layersPerBlock: [Int]? = nil, orders: [SliceSequence]? = nil, sliceThresholds: [Double]? = nil
  ) {
    self.layersPerBlock = layersPerBlock
    self.orders = orders
    self.sliceThresholds = sliceThresholds
  }
}

/// What an ensemble is called in the literature, as far as its shape tells.
package enum Layout: String, CaseIterable, Sendable {
  /// Several orders of every shard's slices (S3T).
  case s3t
  /// One order (SISA, arXiv 1912.03817, with S3T's layers).
  case sisa
  /// One adapter over all layers for every shard, without slices.
  case adapterPerShard = "adapter-per-shard"
  /// One adapter over all layers, trained on all records: what is done without Lethe.
  case full
  /// Heads over the frozen encoder.
  case headOnly = "head-only"
}

extension RunPlan {
  package var layout: Layout {
    if layerGroups.allSatisfy(\.isEmpty) { return .headOnly }
    if sliceCount == 1 { return shardCount == 1 ? .full : .adapterPerShard }
    return sequenceCount == 1 ? .sisa : .s3t
  }
}
