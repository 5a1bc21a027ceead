import ByteCoding
import Hashing
import Unlearning

/// What a run is, fixed when it is created; the journal's first entry.
package struct RunDescription: Equatable, Sendable {
  package var name: String
  package var shardCount: Int
  package var sliceCount: Int
  package var sequenceCount: Int
  /// Transformer layers of the backbone.
  package var layerCount: Int
  package var stageData: StageData
  package var options: ShapeOptions
  package var seed: UInt64
  /// Key of the hash that places records; see `Partition`.
  package var partitionKey: [UInt8]
  package var recipe: TrainingRecipe
  package var backbone: Digest
  package var repairPolicy: RepairPolicy
  /// How many slices repairs may read in an hour; `nil`: as many as workers manage.
  package var repairBudget: Int?

  package init(
    name: String, shardCount: Int, sliceCount: Int, sequenceCount: Int, layerCount: Int,
    stageData: StageData, options: ShapeOptions = ShapeOptions(), seed: UInt64,
    partitionKey: [UInt8], recipe: TrainingRecipe, backbone: Digest, repairPolicy: RepairPolicy,
    repairBudget: Int? = nil
  ) {
    self.name = name
    self.shardCount = shardCount
    self.sliceCount = sliceCount
    self.sequenceCount = sequenceCount
    self.layerCount = layerCount
    self.stageData = stageData
    self.options = options
    self.seed = seed
    self.partitionKey = partitionKey
    self.recipe = recipe
    self.backbone = backbone
    self.repairPolicy = repairPolicy
    self.repairBudget = repairBudget
  }

  package func plan() throws(PlanError) -> RunPlan {
    try RunPlan(
      shardCount: shardCount, sliceCount: sliceCount, sequenceCount: sequenceCount,
      layerCount: layerCount, stageData: stageData, options: options)
  }

  /// The fields, by their names in the run file, in which two descriptions differ.
  package func differences(from other: RunDescription) -> [String] {
    var names: [String] = []
    func compare<Value: Equatable>(_ name: String, _ field: (RunDescription) -> Value) {
      if field(self) != field(other) { names.append(name) }
    }
    compare("name") { $0.name }
    compare("shards") { $0.shardCount }
    compare("slices") { $0.sliceCount }
    compare("sequences") { $0.sequenceCount }
    compare("stageData") { $0.stageData }
    compare("layersPerBlock") { $0.options.layersPerBlock }
    compare("sequenceSelection") { $0.options.orders }
    compare("sliceThresholds") { $0.options.sliceThresholds }
    compare("seed") { $0.seed }
    compare("partitionKey") { $0.partitionKey }
    compare("labels") { $0.recipe.labels }
    compare("training") { description in
      var recipe = description.recipe
      (recipe.labels, recipe.startingAdapter) = ([], nil)
      return recipe
    }
    compare("training.startingAdapter") { $0.recipe.startingAdapter }
    compare("backbone") { $0.backbone }
    compare("repair") { $0.repairPolicy }
    compare("repair.slicesPerHour") { $0.repairBudget }
    return names
  }
}

/// When masked blocks are retrained.
package enum RepairPolicy: Equatable, Sendable {
  /// As soon as a worker is free.
  case eager
  /// Once no deletion came for `quiet`, or the oldest mask is `maximumAge` old, whichever is first.
  case batched(quiet: Milliseconds, maximumAge: Milliseconds)
  /// When a shard serves fewer than this many blocks.
  case depthBelow(Int)
  /// Only when asked for.
  case manual
}

/// A duration or a moment of the wall clock, in milliseconds since 1970 for the latter.
package typealias Milliseconds = Int64

extension RunDescription {
  func encode(into writer: inout CanonicalWriter) {
    writer.write(name)
    for count in [shardCount, sliceCount, sequenceCount, layerCount] { writer.write(UInt32(count)) }
    writer.write(stageData.rawValue)
    writer.write(seed)
    writer.write(partitionKey)
    writer.write(recipe.encoded)
    writer.writeRaw(backbone.bytes)
    // What most runs leave alone is written only where it is used, so that the bytes of a run do
    // not change with each choice that later versions offer.
    let more: UInt8 = options == ShapeOptions() && repairBudget == nil ? 0 : Self.moreFollows
    switch repairPolicy {
    case .eager: writer.write(0 | more)
    case .batched(let quiet, let maximumAge):
      writer.write(1 | more)
      writer.write(UInt64(bitPattern: quiet))
      writer.write(UInt64(bitPattern: maximumAge))
    case .depthBelow(let depth):
      writer.write(2 | more)
      writer.write(UInt32(depth))
    case .manual: writer.write(3 | more)
    }
    guard more != 0 else { return }
    writer.write(options.layersPerBlock) { $0.write($1) { $0.write(UInt32($1)) } }
    writer.write(options.orders) { $0.write($1) { $0.write($1.order) { $0.write(UInt32($1)) } } }
    writer.write(options.sliceThresholds) { $0.write($1) { $0.write($1) } }
    writer.write(repairBudget) { $0.write(UInt64($1)) }
  }

  /// A bit of the repair policy's byte.
  private static let moreFollows: UInt8 = 0x80

  init(from reader: inout CanonicalReader) throws(DecodingFailure) {
    name = try reader.readString()
    shardCount = Int(try reader.readInteger(UInt32.self))
    sliceCount = Int(try reader.readInteger(UInt32.self))
    sequenceCount = Int(try reader.readInteger(UInt32.self))
    layerCount = Int(try reader.readInteger(UInt32.self))
    guard let stageData = StageData(rawValue: try reader.readString()) else {
      throw .invalid(what: "stage data", atByte: 0)
    }
    self.stageData = stageData
    seed = try reader.readInteger()
    partitionKey = try reader.readBytes()
    recipe = try TrainingRecipe(encoded: try reader.readBytes())
    backbone = try reader.readDigest()
    let policy = try reader.readInteger(UInt8.self)
    repairPolicy =
      switch policy & ~Self.moreFollows {
      case 0: .eager
      case 1:
        .batched(quiet: try reader.readMilliseconds(), maximumAge: try reader.readMilliseconds())
      case 2: .depthBelow(Int(try reader.readInteger(UInt32.self)))
      case 3: .manual
      default: throw .invalid(what: "repair policy", atByte: 0)
      }
    options = ShapeOptions()
    guard policy & Self.moreFollows != 0 else { return }
    func numbers(_ reader: inout CanonicalReader) throws(DecodingFailure) -> [Int] {
      try reader.readArray { (reader) throws(DecodingFailure) in
        Int(try reader.readInteger(UInt32.self))
      }
    }
    options.layersPerBlock = try reader.readOptional { (reader) throws(DecodingFailure) in
      try numbers(&reader)
    }
    options.orders = try reader.readOptional { (reader) throws(DecodingFailure) in
      try reader.readArray { (reader) throws(DecodingFailure) in
        SliceSequence(try numbers(&reader))
      }
    }
    options.sliceThresholds = try reader.readOptional { (reader) throws(DecodingFailure) in
      try reader.readArray { (reader) throws(DecodingFailure) in try reader.readDouble() }
    }
    repairBudget = try reader.readOptional { (reader) throws(DecodingFailure) in
      guard let budget = Int(exactly: try reader.readInteger(UInt64.self)), budget > 0 else {
        throw DecodingFailure.invalid(what: "repair budget", atByte: 0)
      }
      return budget
    }
    guard options != ShapeOptions() || repairBudget != nil else {
      throw .invalid(what: "options of nothing", atByte: 0)
    }
  }
}
