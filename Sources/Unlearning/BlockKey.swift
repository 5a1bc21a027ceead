import ByteCoding
import Hashing

/// The name of everything that shaped a block.
///
/// Two blocks with one key have the same bits; a block whose recorded key is not the key recomputed
/// from the retained records is stale and never served. The encoding is drawn, with a worked
/// example, in `Protocols/block-key.md`.
package struct BlockKey: Hashable, Comparable, Sendable {
  package let digest: Digest

  package init(_ digest: Digest) {
    self.digest = digest
  }

  package static func < (left: Self, right: Self) -> Bool { left.digest < right.digest }
}

extension BlockKey: CustomStringConvertible {
  package var description: String { digest.hex }
}

/// What a block is made from; its hash is the block's key.
package struct BlockIngredients: Equatable, Sendable {
  /// Engine, BLAS build, kernel and thread count that produce comparable bits.
  package var numericClass: Digest
  package var backbone: Digest
  package var recipe: Digest
  /// The layers trained, lowest first.
  package var layers: Range<Int>
  package var seed: UInt64
  package var parent: BlockKey?
  /// Digests of the slices read, in the order of the sequence.
  package var slices: [Digest]

  package init(
    numericClass: Digest, backbone: Digest, recipe: Digest, layers: Range<Int>, seed: UInt64,
    parent: BlockKey?, slices: [Digest]
  ) {
    self.numericClass = numericClass
    self.backbone = backbone
    self.recipe = recipe
    self.layers = layers
    self.seed = seed
    self.parent = parent
    self.slices = slices
  }

  package var encoded: [UInt8] {
    var writer = CanonicalWriter()
    writer.write("lethe-block-key-2")
    writer.writeRaw(numericClass.bytes)
    writer.writeRaw(backbone.bytes)
    writer.writeRaw(recipe.bytes)
    writer.write(UInt32(layers.lowerBound))
    writer.write(UInt32(layers.upperBound))
    writer.write(seed)
    writer.write(parent) { $0.writeRaw($1.digest.bytes) }
    writer.write(slices) { $0.writeRaw($1.bytes) }
    return writer.bytes
  }

  package var key: BlockKey { BlockKey(SHA256.hash(encoded)) }
}

/// Digests of the parts a block key is made from.
package enum LineageDigest {
  /// A slice's digest covers the set of its records' digests and so forgets their order.
  package static func slice(recordDigests: some Sequence<Digest>) -> Digest {
    SliceDigest.root(recordDigests.sorted()[...])
  }

  /// The digest of a numeric class's canonical text.
  package static func numericClass(_ description: String) -> Digest {
    var writer = CanonicalWriter()
    writer.write("lethe-numeric-class-1")
    writer.write(description)
    return SHA256.hash(writer.bytes)
  }

  /// A backbone's digest covers the files that decide its outputs: configuration, weights,
  /// vocabulary and, where there is one, the tokenizer's configuration.
  package static func backbone(fileDigests: [(name: String, digest: Digest)]) -> Digest {
    files("lethe-backbone-1", fileDigests)
  }

  /// The digest of a starting adapter: of both its files.
  package static func startingAdapter(fileDigests: [(name: String, digest: Digest)]) -> Digest {
    files("lethe-starting-adapter-1", fileDigests)
  }

  /// What a worker must have: the backbone and, of a run that has one, the starting adapter.
  package static func model(backbone: Digest, startingAdapter: Digest?) -> Digest {
    guard let startingAdapter else { return backbone }
    return files(
      "lethe-model-1", [("backbone", backbone), ("starting adapter", startingAdapter)])
  }

  private static func files(_ format: String, _ digests: [(name: String, digest: Digest)])
    -> Digest
  {
    var writer = CanonicalWriter()
    writer.write(format)
    writer.write(digests.sorted { $0.name < $1.name }) {
      $0.write($1.name)
      $0.writeRaw($1.digest.bytes)
    }
    return SHA256.hash(writer.bytes)
  }

  package static func recipe(_ recipe: TrainingRecipe) -> Digest {
    SHA256.hash(recipe.encoded)
  }

  /// The seed of one stage: a function of the run's seed and the slot alone, never of data.
  package static func stageSeed(runSeed: UInt64, slot: BlockSlot, plan: RunPlan) -> UInt64 {
    var writer = CanonicalWriter()
    writer.write("lethe-stage-seed-1")
    writer.write(runSeed)
    writer.write(UInt32(slot.shard))
    writer.write(UInt32(plan.seedSequence(of: slot)))
    writer.write(UInt32(slot.stage))
    return SHA256.hash(writer.bytes).bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}

extension TrainingRecipe {
  /// The canonical bytes whose digest enters every block key.
  package var encoded: [UInt8] {
    var writer = CanonicalWriter()
    // What most recipes leave alone is written only where it is used: a choice that later versions
    // offer changes no key of those that do not make it.
    let hasChoices = headStart != .zero || stageRateFactor != 1 || startingAdapter != nil
    writer.write(
      startingAdapter != nil
        ? "lethe-recipe-3" : hasChoices ? "lethe-recipe-2" : "lethe-recipe-1")
    writer.write(labels) { $0.write($1) }
    writer.write(targets) { $0.write($1.rawValue) }
    writer.write(UInt32(rank))
    writer.write(alpha)
    writer.write(rankStabilized)
    writer.write(UInt32(epochs))
    writer.write(UInt32(batchSize))
    writer.write(learningRate)
    writer.write(headLearningRate)
    writer.write(schedule.rawValue)
    writer.write(warmup)
    writer.write(weightDecay)
    writer.write(maximumGradientNorm)
    writer.write(UInt32(maximumTokens))
    if hasChoices {
      writer.write(headStart.rawValue)
      writer.write(stageRateFactor)
    }
    if let startingAdapter { writer.writeRaw(startingAdapter.bytes) }
    return writer.bytes
  }

  /// Reads back what `encoded` wrote.
  package init(encoded bytes: [UInt8]) throws(DecodingFailure) {
    var reader = CanonicalReader(bytes)
    let format = try reader.readString()
    guard ["lethe-recipe-1", "lethe-recipe-2", "lethe-recipe-3"].contains(format) else {
      throw .invalid(what: "recipe format", atByte: 0)
    }
    let labels = try reader.readArray { (reader) throws(DecodingFailure) in
      try reader.readString()
    }
    let targets = try reader.readArray { (reader) throws(DecodingFailure) in
      guard let target = ProjectionTarget(rawValue: try reader.readString()) else {
        throw .invalid(what: "projection", atByte: 0)
      }
      return target
    }
    guard targets == Set(targets).sorted() else {
      throw .invalid(what: "order of projections", atByte: 0)
    }
    let rank = Int(try reader.readInteger(UInt32.self))
    let alpha = try reader.readDouble()
    let rankStabilized = try reader.readBool()
    let epochs = Int(try reader.readInteger(UInt32.self))
    let batchSize = Int(try reader.readInteger(UInt32.self))
    let learningRate = try reader.readDouble()
    let headLearningRate = try reader.readDouble()
    guard let schedule = LearningRateSchedule(rawValue: try reader.readString()) else {
      throw .invalid(what: "schedule", atByte: 0)
    }
    self.init(
      labels: labels, targets: targets, rank: rank, alpha: alpha, rankStabilized: rankStabilized,
      epochs: epochs, batchSize: batchSize, learningRate: learningRate,
      headLearningRate: headLearningRate, schedule: schedule, warmup: try reader.readDouble(),
      weightDecay: try reader.readDouble(), maximumGradientNorm: try reader.readDouble(),
      maximumTokens: Int(try reader.readInteger(UInt32.self)))
    if format != "lethe-recipe-1" {
      guard let start = HeadStart(rawValue: try reader.readString()) else {
        throw .invalid(what: "head start", atByte: 0)
      }
      headStart = start
      stageRateFactor = try reader.readDouble()
      if format == "lethe-recipe-3" { startingAdapter = try reader.readDigest() }
      guard headStart != .zero || stageRateFactor != 1 || startingAdapter != nil else {
        throw .invalid(what: "choices of nothing", atByte: 0)
      }
    }
    try reader.finish()
  }
}
