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
  package var seed: UInt64
  /// Key of the hash that places records; see `Partition`.
  package var partitionKey: [UInt8]
  package var recipe: TrainingRecipe
  package var backbone: Digest
  package var repairPolicy: RepairPolicy

  package init(
    name: String, shardCount: Int, sliceCount: Int, sequenceCount: Int, layerCount: Int,
    stageData: StageData, seed: UInt64, partitionKey: [UInt8], recipe: TrainingRecipe,
    backbone: Digest, repairPolicy: RepairPolicy
  ) {
    self.name = name
    self.shardCount = shardCount
    self.sliceCount = sliceCount
    self.sequenceCount = sequenceCount
    self.layerCount = layerCount
    self.stageData = stageData
    self.seed = seed
    self.partitionKey = partitionKey
    self.recipe = recipe
    self.backbone = backbone
    self.repairPolicy = repairPolicy
  }

  package func plan() throws(PlanError) -> RunPlan {
    try RunPlan(
      shardCount: shardCount, sliceCount: sliceCount, sequenceCount: sequenceCount,
      layerCount: layerCount, stageData: stageData)
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
    compare("seed") { $0.seed }
    compare("partitionKey") { $0.partitionKey }
    compare("labels") { $0.recipe.labels }
    compare("training") { description in
      var recipe = description.recipe
      recipe.labels = []
      return recipe
    }
    compare("backbone") { $0.backbone }
    compare("repair") { $0.repairPolicy }
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
    switch repairPolicy {
    case .eager: writer.write(UInt8(0))
    case .batched(let quiet, let maximumAge):
      writer.write(UInt8(1))
      writer.write(UInt64(bitPattern: quiet))
      writer.write(UInt64(bitPattern: maximumAge))
    case .depthBelow(let depth):
      writer.write(UInt8(2))
      writer.write(UInt32(depth))
    case .manual: writer.write(UInt8(3))
    }
  }

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
    repairPolicy =
      switch try reader.readInteger(UInt8.self) {
      case 0: .eager
      case 1:
        .batched(quiet: try reader.readMilliseconds(), maximumAge: try reader.readMilliseconds())
      case 2: .depthBelow(Int(try reader.readInteger(UInt32.self)))
      case 3: .manual
      default: throw .invalid(what: "repair policy", atByte: 0)
      }
  }
}
