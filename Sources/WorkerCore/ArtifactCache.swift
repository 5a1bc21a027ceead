import Hashing

/// Artifacts that leases and questions share; the oldest make room.
struct ArtifactCache: Sendable {
  private var artifacts: [Digest: [UInt8]] = [:]
  /// Oldest first.
  private var order: [Digest] = []
  private var byteCount = 0
  private let byteLimit: Int

  init(byteLimit: Int) {
    self.byteLimit = byteLimit
  }

  subscript(digest: Digest) -> [UInt8]? { artifacts[digest] }

  mutating func insert(_ artifact: [UInt8], _ digest: Digest) {
    guard artifacts[digest] == nil, artifact.count <= byteLimit else { return }
    while byteCount + artifact.count > byteLimit, let oldest = order.first { remove([oldest]) }
    artifacts[digest] = artifact
    order.append(digest)
    byteCount += artifact.count
  }

  mutating func remove(_ digests: [Digest]) {
    var isDropped = false
    for digest in digests {
      guard let artifact = artifacts.removeValue(forKey: digest) else { continue }
      byteCount -= artifact.count
      isDropped = true
    }
    if isDropped { order.removeAll { artifacts[$0] == nil } }
  }

  mutating func removeAll() {
    (artifacts, order, byteCount) = ([:], [], 0)
  }
}
