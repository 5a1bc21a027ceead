/// The largest contents that an end has a use for, below the wire's own limits.
///
/// A run's plan says how long the longest block is. What announces more is refused at its
/// announcement, and its chunks are let pass without a byte of them being kept.
package struct ContentLimits: Equatable, Sendable {
  package var uploadByteCount: Int
  package var checkpointByteCount: Int

  package init(uploadByteCount: Int = .max, checkpointByteCount: Int = .max) {
    self.uploadByteCount = uploadByteCount
    self.checkpointByteCount = checkpointByteCount
  }

  func byteCount(of type: FrameType) -> Int {
    switch type {
    case .upload: uploadByteCount
    case .checkpoint: checkpointByteCount
    default: .max
    }
  }
}
