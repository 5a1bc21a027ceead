import ByteCoding
import CoordinatorCore
import Hashing
import Unlearning

extension WireMessage {
  /// The message as a frame.
  package func frame(request: UInt64 = 0) -> Frame {
    var writer = CanonicalWriter()
    let type: UInt8
    switch self {
    case .hello(let introduction):
      type = 1
      writer.write(Self.version)
      writer.write(introduction.name)
      writer.write(introduction.host)
      writer.write(introduction.numericClass)
      writer.write(introduction.backbone)
      writer.write(introduction.roles.contains(.train))
      writer.write(introduction.roles.contains(.serve))
      writer.write(introduction.head) { $0.write($1) }
    case .requestWork: type = 2
    case .heartbeat(let epoch, let progress):
      type = 3
      writer.write(epoch)
      writer.write(progress.step)
      writer.write(progress.totalSteps)
    case .fetchSlice(let slice):
      type = 4
      writer.write(slice)
    case .fetchArtifact(let digest):
      type = 5
      writer.write(digest)
    case .upload(let epoch, let key, let work, let artifact):
      type = 6
      writer.write(epoch)
      writer.write(key.digest)
      writer.write(work)
      writer.write(artifact)
    case .failed(let epoch, let failure):
      type = 7
      writer.write(epoch)
      writer.write(failure.kind.rawValue)
      writer.write(failure.reason)
    case .forgotten(let number):
      type = 8
      writer.write(number)
    case .predictions(let predictions):
      type = 9
      writer.write(predictions) { $0.write($1.logits) { $0.write($1) } }
    case .predictionFailed(let reason):
      type = 10
      writer.write(reason)
    case .welcome(let recipe, let head):
      type = 64
      writer.write(recipe.encoded)
      writer.write(head)
    case .head(let head):
      type = 75
      writer.write(head)
    case .checkpoint(let epoch, let key, let step, let state):
      type = 11
      writer.write(epoch)
      writer.write(key.digest)
      writer.write(step)
      writer.write(state)
    case .fetchCheckpoint(let key):
      type = 12
      writer.write(key.digest)
    case .draining: type = 13
    case .turnedAway(let refusal):
      type = 65
      writer.write(refusal.cause.rawValue)
      writer.write(refusal.reason)
    case .lease(let grant):
      type = 66
      writer.write(grant.epoch)
      writer.write(grant.assignment)
      writer.write(grant.checkpoint) { writer, checkpoint in
        writer.write(checkpoint.step)
        writer.write(checkpoint.digest)
      }
    case .heard(let epoch):
      type = 76
      writer.write(epoch)
    case .cancel(let epoch):
      type = 67
      writer.write(epoch)
    case .uploadAccepted(let epoch):
      type = 68
      writer.write(epoch)
    case .uploadRefused(let epoch, let refusal):
      type = 69
      writer.write(epoch)
      writer.write(refusal.rawValue)
    case .slice(let records):
      type = 70
      writer.write(records) { $0.write($1) }
    case .artifact(let bytes):
      type = 71
      writer.write(bytes)
    case .unavailable(let reason):
      type = 72
      writer.write(reason)
    case .forget(let number, let artifacts):
      type = 73
      writer.write(number)
      writer.write(artifacts) { $0.write($1) }
    case .predict(let view, let inputs):
      type = 74
      writer.write(view) { writer, prefix in
        writer.write(UInt32(prefix.shard))
        writer.write(UInt32(prefix.sequence))
        writer.write(prefix.artifacts) { $0.write($1) }
      }
      writer.write(inputs) { writer, input in
        writer.write(input.text)
        writer.write(input.textPair) { $0.write($1) }
      }
    }
    return Frame(type: type, request: request, body: writer.bytes)
  }

  package init(_ frame: Frame) throws(DecodingFailure) {
    var reader = CanonicalReader(frame.body)
    switch frame.type {
    case 1: self = .hello(try reader.readIntroduction())
    case 2: self = .requestWork
    case 3:
      self = .heartbeat(
        epoch: try reader.readInteger(),
        StageProgress(step: try reader.readInteger(), totalSteps: try reader.readInteger()))
    case 4: self = .fetchSlice(try reader.readSliceReference())
    case 5: self = .fetchArtifact(try reader.readDigest())
    case 6:
      self = .upload(
        epoch: try reader.readInteger(), BlockKey(try reader.readDigest()),
        try reader.readWork(), artifact: try reader.readBytes())
    case 7:
      let epoch = try reader.readInteger(UInt64.self)
      guard let kind = Failure.Kind(rawValue: try reader.readInteger()) else {
        throw .invalid(what: "failure kind", atByte: 8)
      }
      self = .failed(epoch: epoch, Failure(kind: kind, reason: try reader.readString(limit: 4096)))
    case 8: self = .forgotten(throughDeletion: try reader.readInteger())
    case 9:
      self = .predictions(
        try reader.readArray { (reader) throws(DecodingFailure) in
          ShardedPrediction(
            logits: try reader.readArray { (reader) throws(DecodingFailure) in
              try reader.readDouble()
            })
        })
    case 10: self = .predictionFailed(try reader.readString(limit: 4096))
    case 64:
      self = .welcome(
        try TrainingRecipe(encoded: try reader.readBytes()), try reader.readHead())
    case 11:
      self = .checkpoint(
        epoch: try reader.readInteger(), BlockKey(try reader.readDigest()),
        step: try reader.readInteger(), state: try reader.readBytes())
    case 12: self = .fetchCheckpoint(BlockKey(try reader.readDigest()))
    case 13: self = .draining
    case 65:
      guard let cause = TurnedAway.Cause(rawValue: try reader.readInteger()) else {
        throw .invalid(what: "cause", atByte: 0)
      }
      self = .turnedAway(TurnedAway(cause, try reader.readString(limit: 4096)))
    case 66:
      self = .lease(
        LeaseGrant(
          epoch: try reader.readInteger(), assignment: try reader.readAssignment(),
          checkpoint: try reader.readOptional { (reader) throws(DecodingFailure) in
            StageCheckpoint(step: try reader.readInteger(), digest: try reader.readDigest())
          }))
    case 76: self = .heard(epoch: try reader.readInteger())
    case 67: self = .cancel(epoch: try reader.readInteger())
    case 68: self = .uploadAccepted(epoch: try reader.readInteger())
    case 69:
      let epoch = try reader.readInteger(UInt64.self)
      guard let refusal = UploadRefusal(rawValue: try reader.readInteger()) else {
        throw .invalid(what: "refusal", atByte: 8)
      }
      self = .uploadRefused(epoch: epoch, refusal)
    case 70:
      self = .slice(
        try reader.readArray { (reader) throws(DecodingFailure) in try reader.readBytes() })
    case 71: self = .artifact(try reader.readBytes())
    case 72: self = .unavailable(try reader.readString(limit: 4096))
    case 73:
      self = .forget(
        throughDeletion: try reader.readInteger(), artifacts: try reader.readDigests())
    case 74:
      let view = try reader.readArray { (reader) throws(DecodingFailure) in
        ServedPrefix(
          shard: Int(try reader.readInteger(UInt32.self)),
          sequence: Int(try reader.readInteger(UInt32.self)), artifacts: try reader.readDigests())
      }
      let inputs = try reader.readArray { (reader) throws(DecodingFailure) in
        PredictionInput(
          text: try reader.readString(),
          textPair: try reader.readOptional { (reader) throws(DecodingFailure) in
            try reader.readString()
          })
      }
      self = .predict(view, inputs)
    case 75: self = .head(try reader.readHead())
    default: throw .invalid(what: "message type \(frame.type)", atByte: 0)
    }
    try reader.finish()
  }
}

extension CanonicalWriter {
  fileprivate mutating func write(_ head: LedgerHead) {
    write(head.size)
    write(head.root)
  }

  fileprivate mutating func write(_ slice: SliceReference) {
    write(UInt32(slice.location.shard))
    write(UInt32(slice.location.slice))
    write(slice.digest)
  }

  fileprivate mutating func write(_ assignment: BlockAssignment) {
    write(assignment.slot)
    write(assignment.key.digest)
    write(UInt32(assignment.layers.lowerBound))
    write(UInt32(assignment.layers.upperBound))
    write(assignment.seed)
    write(assignment.ancestors) { $0.write($1) }
    write(assignment.slices) { $0.write($1) }
  }
}

extension CanonicalReader {
  fileprivate mutating func readDigests() throws(DecodingFailure) -> [Digest] {
    try readArray { (reader) throws(DecodingFailure) in try reader.readDigest() }
  }

  fileprivate mutating func readSliceReference() throws(DecodingFailure) -> SliceReference {
    SliceReference(
      location: SliceLocation(
        shard: Int(try readInteger(UInt32.self)), slice: Int(try readInteger(UInt32.self))),
      digest: try readDigest())
  }

  fileprivate mutating func readAssignment() throws(DecodingFailure) -> BlockAssignment {
    let slot = try readSlot()
    let key = BlockKey(try readDigest())
    let lower = Int(try readInteger(UInt32.self))
    let upper = Int(try readInteger(UInt32.self))
    guard lower <= upper else { throw .invalid(what: "layer range", atByte: 0) }
    return BlockAssignment(
      slot: slot, key: key, layers: lower..<upper, seed: try readInteger(),
      ancestors: try readDigests(),
      slices: try readArray { (reader) throws(DecodingFailure) in try reader.readSliceReference() })
  }

  fileprivate mutating func readIntroduction() throws(DecodingFailure) -> Introduction {
    let version = try readInteger(UInt16.self)
    guard version == WireMessage.version else {
      throw .invalid(what: "wire version \(version)", atByte: 0)
    }
    let name = try readString(limit: 256)
    let host = try readString(limit: 256)
    let numericClass = try readString(limit: 4096)
    let backbone = try readDigest()
    var roles: Set<WorkerRole> = []
    if try readBool() { roles.insert(.train) }
    if try readBool() { roles.insert(.serve) }
    let head = try readOptional { (reader) throws(DecodingFailure) in try reader.readHead() }
    return Introduction(
      name: name, host: host, numericClass: numericClass, backbone: backbone, roles: roles,
      head: head)
  }

  fileprivate mutating func readHead() throws(DecodingFailure) -> LedgerHead {
    LedgerHead(size: try readInteger(), root: try readDigest())
  }
}
