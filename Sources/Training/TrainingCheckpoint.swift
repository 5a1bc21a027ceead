package import ByteCoding
internal import Hashing
package import Unlearning

/// A stage in the middle: resuming from it gives the bits an unbroken run would.
package struct TrainingCheckpoint: Equatable, Sendable {
  package var stepsDone: Int
  package var losses: [Double]
  package var parameters: [Float]
  /// AdamW's running means of gradients and of their squares.
  package var firstMoments: [Float]
  package var secondMoments: [Float]
  /// What the steps so far have cost, on whatever host.
  package var statistics: TrainingStatistics

  package init(
    stepsDone: Int, losses: [Double], parameters: [Float], firstMoments: [Float],
    secondMoments: [Float], statistics: TrainingStatistics
  ) {
    self.stepsDone = stepsDone
    self.losses = losses
    self.parameters = parameters
    self.firstMoments = firstMoments
    self.secondMoments = secondMoments
    self.statistics = statistics
  }
}

/// The bytes of a checkpoint, in canonical encoding:
///
/// ```
/// string "lethe-checkpoint-1" · 32 bytes block key · sequence of f64 losses
/// u32 n · n × f32 parameters · n × f32 first moments · n × f32 second moments
/// u64 examples · u64 tokens · f64 seconds · f64 seconds in GEMM · f64 operations
/// ```
///
/// There are as many losses as steps have been made. Nothing in a block may depend on where its
/// training was interrupted, so numbers travel as their bits.
extension TrainingCheckpoint {
  private static let format = "lethe-checkpoint-1"

  /// - Parameter key: The block that the stage trains.
  package func encoded(for key: BlockKey) -> [UInt8] {
    var writer = CanonicalWriter()
    writer.write(Self.format)
    writer.writeRaw(key.digest.bytes)
    writer.write(losses) { $0.write($1) }
    writer.write(UInt32(parameters.count))
    for values in [parameters, firstMoments, secondMoments] {
      values.withUnsafeBytes { writer.writeRaw($0) }
    }
    writer.write(UInt64(statistics.examples))
    writer.write(UInt64(statistics.tokens))
    writer.write(statistics.seconds)
    writer.write(statistics.gemmSeconds)
    writer.write(statistics.floatingPointOperations)
    return writer.bytes
  }

  /// Reads back what `encoded` wrote, trusting nothing: every number must be one that training can
  /// come to.
  ///
  /// - Throws: `DecodingFailure`, also if the checkpoint belongs to another block.
  package init(encoded bytes: [UInt8], for key: BlockKey) throws(DecodingFailure) {
    var reader = CanonicalReader(bytes)
    guard try reader.readString(limit: 64) == Self.format else {
      throw .invalid(what: "checkpoint format", atByte: 0)
    }
    guard Digest(try reader.readRaw(byteCount: Digest.byteCount)) == key.digest else {
      throw .invalid(what: "block key", atByte: 4 + Self.format.utf8.count)
    }
    let losses = try reader.readArray { (reader) throws(DecodingFailure) in
      try reader.readFinite()
    }
    let count = Int(try reader.readInteger(UInt32.self))
    let parameters = try reader.readFloats(count)
    let firstMoments = try reader.readFloats(count)
    let secondMoments = try reader.readFloats(count)
    guard secondMoments.allSatisfy({ $0 >= 0 }) else {
      throw .invalid(what: "mean of squares", atByte: 0)
    }
    var statistics = TrainingStatistics()
    statistics.steps = losses.count
    statistics.examples = try reader.readCount()
    statistics.tokens = try reader.readCount()
    statistics.seconds = try reader.readFinite()
    statistics.gemmSeconds = try reader.readFinite()
    statistics.floatingPointOperations = try reader.readFinite()
    try reader.finish()
    self.init(
      stepsDone: losses.count, losses: losses, parameters: parameters, firstMoments: firstMoments,
      secondMoments: secondMoments, statistics: statistics)
  }
}

extension CanonicalReader {
  fileprivate mutating func readFinite() throws(DecodingFailure) -> Double {
    let value = try readDouble()
    guard value.isFinite else { throw .invalid(what: "number", atByte: 0) }
    return value
  }

  /// A count that can be added to without overflow.
  fileprivate mutating func readCount() throws(DecodingFailure) -> Int {
    guard let value = UInt32(exactly: try readInteger(UInt64.self)) else {
      throw .invalid(what: "count", atByte: 0)
    }
    return Int(value)
  }

  /// The bytes are there before memory for the numbers is taken.
  fileprivate mutating func readFloats(_ count: Int) throws(DecodingFailure) -> [Float] {
    let raw = try readRaw(byteCount: 4 * count)
    let values = raw.withUnsafeBytes { bytes in
      (0..<count).map { index in
        Float(
          bitPattern: UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)))
      }
    }
    guard values.allSatisfy(\.isFinite) else { throw .invalid(what: "number", atByte: 0) }
    return values
  }
}
