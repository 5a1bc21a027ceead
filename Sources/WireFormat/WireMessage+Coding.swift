import ByteCoding
import CoordinatorCore
import Hashing
import Unlearning

extension WireMessage {
  /// The message's type, what its control frame says and the content that follows in chunks.
  ///
  /// Texts over their limits are cut, and what people cannot see in them is replaced: no message
  /// is lost because its reason is too long.
  package var parts: (type: FrameType, head: [UInt8], content: [UInt8]) {
    var writer = CanonicalWriter()
    var content: [UInt8] = []
    switch self {
    case .hello(let introduction):
      writer.write(
        introduction.name.printable.clipped(toByteCount: WireLimits.nameByteCount))
      writer.write(
        introduction.host.printable.clipped(toByteCount: WireLimits.nameByteCount))
      writer.write(
        introduction.numericClass.clipped(toByteCount: WireLimits.numericClassByteCount))
      writer.write(introduction.backbone)
      writer.write(introduction.roles.contains(.train))
      writer.write(introduction.roles.contains(.serve))
      writer.write(introduction.head) { $0.write($1) }
    case .requestWork: break
    case .heartbeat(let epoch, let progress):
      writer.write(epoch)
      writer.write(progress.step)
      writer.write(progress.totalSteps)
    case .fetchSlice(let slice):
      writer.write(slice)
    case .fetchArtifact(let digest):
      writer.write(digest)
    case .upload(let epoch, let key, let work, let artifact):
      writer.write(epoch)
      writer.write(key.digest)
      writer.write(work)
      content = artifact
    case .failed(let epoch, let failure):
      writer.write(epoch)
      writer.write(failure.kind.rawValue)
      writer.write(reason: failure.reason)
    case .forgotten(let number):
      writer.write(number)
    case .predictions(let predictions):
      content = .canonical { $0.write(predictions) { $0.write($1.logits) { $0.write($1) } } }
    case .predictionFailed(let reason):
      writer.write(reason: reason)
    case .welcome(let recipe, let head):
      writer.write(recipe.encoded)
      writer.write(head)
    case .head(let head):
      writer.write(head)
    case .checkpoint(let epoch, let key, let step, let state):
      writer.write(epoch)
      writer.write(key.digest)
      writer.write(step)
      content = state
    case .fetchCheckpoint(let key):
      writer.write(key.digest)
    case .draining: break
    case .notice(let text):
      writer.write(reason: text)
    case .turnedAway(let refusal):
      writer.write(refusal.cause.rawValue)
      writer.write(reason: refusal.reason)
    case .lease(let grant):
      writer.write(grant.epoch)
      writer.write(grant.assignment)
      writer.write(grant.checkpoint) { writer, checkpoint in
        writer.write(checkpoint.step)
        writer.write(checkpoint.digest)
      }
    case .heard(let epoch):
      writer.write(epoch)
    case .cancel(let epoch):
      writer.write(epoch)
    case .uploadAccepted(let epoch):
      writer.write(epoch)
    case .uploadRefused(let epoch, let refusal):
      writer.write(epoch)
      writer.write(refusal.rawValue)
    case .slice(let records):
      content = .canonical { $0.write(records) { $0.write($1) } }
    case .artifact(let bytes):
      content = bytes
    case .unavailable(let reason):
      writer.write(reason: reason)
    case .forget(let number, let artifacts):
      writer.write(number)
      content = .canonical { $0.write(artifacts) { $0.write($1) } }
    case .predict(let view, let inputs, let aggregation):
      content = .canonical { writer in
        writer.write(view) { writer, prefix in
          writer.write(UInt32(prefix.shard))
          writer.write(UInt32(prefix.sequence))
          writer.write(prefix.artifacts) { $0.write($1) }
        }
        writer.write(inputs) { writer, input in
          writer.write(input.text)
          writer.write(input.textPair) { $0.write($1) }
        }
        writer.write(aggregation.rawValue)
      }
    }
    return (type, writer.bytes, content)
  }

  /// Reads a message from what its control frame said, without the announcement, and its content.
  package init(_ type: FrameType, head: ArraySlice<UInt8>, content: [UInt8])
    throws(DecodingFailure)
  {
    var reader = CanonicalReader(head)
    var rest = CanonicalReader(content)
    switch type {
    case .hello: self = .hello(try reader.readIntroduction())
    case .requestWork: self = .requestWork
    case .heartbeat:
      self = .heartbeat(
        epoch: try reader.readInteger(),
        StageProgress(step: try reader.readInteger(), totalSteps: try reader.readInteger()))
    case .fetchSlice: self = .fetchSlice(try reader.readSliceReference())
    case .fetchArtifact: self = .fetchArtifact(try reader.readDigest())
    case .upload:
      self = .upload(
        epoch: try reader.readInteger(), BlockKey(try reader.readDigest()),
        try reader.readWork(), artifact: rest.readRest(content))
    case .failed:
      let epoch = try reader.readInteger(UInt64.self)
      guard let kind = Failure.Kind(rawValue: try reader.readInteger()) else {
        throw .invalid(what: "failure kind", atByte: 8)
      }
      self = .failed(
        epoch: epoch,
        Failure(kind: kind, reason: try reader.readReason()))
    case .forgotten: self = .forgotten(throughDeletion: try reader.readInteger())
    case .predictions:
      self = .predictions(
        try rest.readArray(minimumByteCount: 4) { (reader) throws(DecodingFailure) in
          ShardedPrediction(
            logits: try reader.readArray(minimumByteCount: 8) { (reader) throws(DecodingFailure) in
              try reader.readDouble()
            })
        })
    case .predictionFailed:
      self = .predictionFailed(try reader.readReason())
    case .welcome:
      self = .welcome(
        try TrainingRecipe(encoded: try reader.readBytes()), try reader.readHead())
    case .checkpoint:
      self = .checkpoint(
        epoch: try reader.readInteger(), BlockKey(try reader.readDigest()),
        step: try reader.readInteger(), state: rest.readRest(content))
    case .fetchCheckpoint: self = .fetchCheckpoint(BlockKey(try reader.readDigest()))
    case .draining: self = .draining
    case .turnedAway:
      guard let cause = TurnedAway.Cause(rawValue: try reader.readInteger()) else {
        throw .invalid(what: "cause", atByte: 0)
      }
      self = .turnedAway(TurnedAway(cause, try reader.readReason()))
    case .lease:
      self = .lease(
        LeaseGrant(
          epoch: try reader.readInteger(), assignment: try reader.readAssignment(),
          checkpoint: try reader.readOptional { (reader) throws(DecodingFailure) in
            StageCheckpoint(step: try reader.readInteger(), digest: try reader.readDigest())
          }))
    case .heard: self = .heard(epoch: try reader.readInteger())
    case .cancel: self = .cancel(epoch: try reader.readInteger())
    case .uploadAccepted: self = .uploadAccepted(epoch: try reader.readInteger())
    case .uploadRefused:
      let epoch = try reader.readInteger(UInt64.self)
      guard let refusal = UploadRefusal(rawValue: try reader.readInteger()) else {
        throw .invalid(what: "refusal", atByte: 8)
      }
      self = .uploadRefused(epoch: epoch, refusal)
    case .slice:
      self = .slice(
        try rest.readArray(minimumByteCount: 4) { (reader) throws(DecodingFailure) in
          try reader.readBytes()
        })
    case .artifact: self = .artifact(rest.readRest(content))
    case .unavailable: self = .unavailable(try reader.readReason())
    case .notice: self = .notice(try reader.readReason())
    case .forget:
      self = .forget(
        throughDeletion: try reader.readInteger(), artifacts: try rest.readDigests())
    case .predict:
      let view = try rest.readArray(minimumByteCount: 12) { (reader) throws(DecodingFailure) in
        ServedPrefix(
          shard: Int(try reader.readInteger(UInt32.self)),
          sequence: Int(try reader.readInteger(UInt32.self)), artifacts: try reader.readDigests())
      }
      let inputs = try rest.readArray(minimumByteCount: 5) { (reader) throws(DecodingFailure) in
        PredictionInput(
          text: try reader.readString(),
          textPair: try reader.readOptional { (reader) throws(DecodingFailure) in
            try reader.readString()
          })
      }
      let rule = try rest.readString(limit: 64)
      guard let aggregation = Aggregation(rawValue: rule) else {
        throw .invalid(what: "aggregation", atByte: 0)
      }
      self = .predict(view, inputs, aggregation)
    case .head: self = .head(try reader.readHead())
    case .opening, .challenge, .proof, .chunk:
      throw .invalid(what: "message type \(type.rawValue)", atByte: 0)
    }
    try reader.finish()
    try rest.finish()
  }
}

extension [UInt8] {
  fileprivate static func canonical(_ write: (inout CanonicalWriter) -> Void) -> [UInt8] {
    var writer = CanonicalWriter()
    write(&writer)
    return writer.bytes
  }
}

extension CanonicalWriter {
  fileprivate mutating func write(reason: String) {
    write(reason.printable.clipped(toByteCount: WireLimits.reasonByteCount))
  }

  fileprivate mutating func write(_ attested: AttestedHead) {
    write(attested.head.size)
    write(attested.head.root)
    write(attested.tag)
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
  /// The whole content, which is the value itself; no copy of what may be large.
  fileprivate mutating func readRest(_ content: [UInt8]) -> [UInt8] {
    self = CanonicalReader([])
    return content
  }

  fileprivate mutating func readDigests() throws(DecodingFailure) -> [Digest] {
    try readArray(minimumByteCount: Digest.byteCount) { (reader) throws(DecodingFailure) in
      try reader.readDigest()
    }
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
      slices: try readArray(minimumByteCount: 40) { (reader) throws(DecodingFailure) in
        try reader.readSliceReference()
      })
  }

  fileprivate mutating func readIntroduction() throws(DecodingFailure) -> Introduction {
    let name = try readString(limit: WireLimits.nameByteCount).printable
    let host = try readString(limit: WireLimits.nameByteCount).printable
    let numericClass = try readString(limit: WireLimits.numericClassByteCount)
    // Compared, not shown alone: one that could be two things to the eye is refused.
    guard numericClass.isNumericClass else { throw .invalid(what: "numeric class", atByte: 0) }
    let backbone = try readDigest()
    var roles: Set<WorkerRole> = []
    if try readBool() { roles.insert(.train) }
    if try readBool() { roles.insert(.serve) }
    let head = try readOptional { (reader) throws(DecodingFailure) in try reader.readHead() }
    return Introduction(
      name: name, host: host, numericClass: numericClass, backbone: backbone, roles: roles,
      head: head)
  }

  fileprivate mutating func readHead() throws(DecodingFailure) -> AttestedHead {
    AttestedHead(
      LedgerHead(size: try readInteger(), root: try readDigest()), tag: try readDigest())
  }

  /// A text for people, whatever its writer let through.
  fileprivate mutating func readReason() throws(DecodingFailure) -> String {
    try readString(limit: WireLimits.reasonByteCount).printable
  }
}
