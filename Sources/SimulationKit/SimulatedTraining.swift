import ByteCoding
import CoordinatorCore
import Hashing
import Unlearning

/// Training as a chain of hashes: as exact as the real one, and a function of the same inputs.
///
/// Whatever shapes a real block shapes the chain, so a stale slice, a foreign ancestor or a
/// checkpoint of another key ends in other bytes.
struct SimulatedTraining: Sendable {
  let key: BlockKey
  let stepCount: UInt32
  private(set) var step: UInt32 = 0
  private var state: Digest

  init(_ assignment: BlockAssignment, slices: [Digest], ancestors: [[UInt8]]) {
    key = assignment.key
    stepCount = Self.stepCount(of: assignment.key)
    state = Self.initialState(assignment.key, slices, ancestors.map { SHA256.hash($0) })
  }

  /// Goes on from a checkpoint; `false`, and nothing changes, if it is not one of this block.
  mutating func restore(_ checkpoint: [UInt8]) -> Bool {
    var reader = CanonicalReader(checkpoint)
    guard (try? reader.readDigest()) == key.digest,
      let step = try? reader.readInteger(UInt32.self), step <= stepCount,
      let state = try? reader.readDigest(), reader.remainingByteCount == 0
    else { return false }
    (self.step, self.state) = (step, state)
    return true
  }

  var checkpoint: [UInt8] {
    var writer = CanonicalWriter()
    writer.writeRaw(key.digest.bytes)
    writer.write(step)
    writer.writeRaw(state.bytes)
    return writer.bytes
  }

  mutating func advance() {
    step += 1
    state = SHA256.hash(state.bytes)
  }

  var isDone: Bool { step == stepCount }

  var artifact: [UInt8] { Self.artifact(key, state) }

  /// The bytes that training in one go must give; what the reference model compares with.
  static func artifact(of key: BlockKey, slices: [Digest], ancestors: [Digest]) -> [UInt8] {
    var state = initialState(key, slices, ancestors)
    for _ in 0..<stepCount(of: key) { state = SHA256.hash(state.bytes) }
    return artifact(key, state)
  }

  /// Whether a coordinator would take bytes for a block's: the counterpart of the form that the
  /// tensors of a slot have.
  static func isWellFormed(_ artifact: [UInt8], of key: BlockKey) -> Bool {
    artifact.starts(with: magic + key.digest.bytes)
      && artifact.count == magic.count + 2 * Digest.byteCount
  }

  private static let magic = Array("lethe simulated block".utf8)

  private static func artifact(_ key: BlockKey, _ state: Digest) -> [UInt8] {
    magic + key.digest.bytes + state.bytes
  }

  private static func stepCount(of key: BlockKey) -> UInt32 { 4 + UInt32(key.digest.bytes[0] % 12) }

  private static func initialState(_ key: BlockKey, _ slices: [Digest], _ ancestors: [Digest])
    -> Digest
  {
    SHA256.hash(key.digest.bytes + slices.flatMap(\.bytes) + ancestors.flatMap(\.bytes))
  }
}
