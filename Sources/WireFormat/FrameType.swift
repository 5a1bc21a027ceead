/// What the type byte of a frame may be: the handshake, the chunks, and one for every message.
///
/// Numbers below 64 go from worker to coordinator, those from 64 to 123 back.
package enum FrameType: UInt8, CaseIterable, Sendable {
  case hello = 1
  case requestWork = 2
  case heartbeat = 3
  case fetchSlice = 4
  case fetchArtifact = 5
  case upload = 6
  case failed = 7
  case forgotten = 8
  case predictions = 9
  case predictionFailed = 10
  case checkpoint = 11
  case fetchCheckpoint = 12
  case draining = 13

  case welcome = 64
  case turnedAway = 65
  case lease = 66
  case cancel = 67
  case uploadAccepted = 68
  case uploadRefused = 69
  case slice = 70
  case artifact = 71
  case unavailable = 72
  case forget = 73
  case predict = 74
  case head = 75
  case heard = 76
  case notice = 77

  /// The worker's first frame: versions, key and nonce.
  case opening = 124
  /// The coordinator's answer: version, nonce and its tag.
  case challenge = 125
  /// The worker's tag.
  case proof = 126
  /// Bytes of a content that an earlier frame with the same request number announced.
  case chunk = 127

  /// Whether it is a message, and the worker sends it.
  package var isFromWorker: Bool { rawValue < 64 }

  /// Whether it is a message, and the coordinator sends it.
  package var isFromCoordinator: Bool { (64..<124).contains(rawValue) }

  /// What the length of such a frame may be at most, before and after authentication alike.
  package var lengthLimit: Int {
    switch self {
    case .opening, .challenge, .proof: WireLimits.handshakeByteCount
    case .chunk: WireLimits.chunkFrameByteCount
    // Carries the recipe with all its labels.
    case .welcome: WireLimits.welcomeByteCount
    case .hello, .requestWork, .heartbeat, .fetchSlice, .fetchArtifact, .upload, .failed,
      .forgotten, .predictions, .predictionFailed, .checkpoint, .fetchCheckpoint, .draining,
      .turnedAway, .lease, .cancel, .uploadAccepted, .uploadRefused, .slice, .artifact,
      .unavailable, .forget, .predict, .head, .heard, .notice:
      WireLimits.controlByteCount
    }
  }

  /// The content that follows such a message in chunks; `nil` for a message without.
  package var content: ContentShape? {
    switch self {
    case .upload: ContentShape(headByteCount: 88, byteCountLimit: 256 << 20)
    case .checkpoint: ContentShape(headByteCount: 44, byteCountLimit: 256 << 20)
    case .slice, .artifact: ContentShape(headByteCount: 0, byteCountLimit: 256 << 20)
    case .forget: ContentShape(headByteCount: 8, byteCountLimit: 16 << 20)
    case .predict, .predictions: ContentShape(headByteCount: 0, byteCountLimit: 16 << 20)
    case .hello, .requestWork, .heartbeat, .fetchSlice, .fetchArtifact, .failed, .forgotten,
      .predictionFailed, .fetchCheckpoint, .draining, .welcome, .turnedAway, .lease, .cancel,
      .uploadAccepted, .uploadRefused, .unavailable, .head, .heard, .notice, .opening, .challenge,
      .proof, .chunk:
      nil
    }
  }

  /// Whether a worker with a key of this role may send it.
  package func isAllowed(to role: KeyRole) -> Bool {
    switch self {
    case .hello, .heartbeat, .fetchArtifact, .forgotten, .predictions, .predictionFailed,
      .draining, .chunk:
      role == .worker || role == .serve
    // Training, and the records it reads.
    case .requestWork, .fetchSlice, .upload, .failed, .checkpoint, .fetchCheckpoint:
      role == .worker
    case .welcome, .turnedAway, .lease, .cancel, .uploadAccepted, .uploadRefused, .slice,
      .artifact, .unavailable, .forget, .predict, .head, .heard, .notice, .opening, .challenge,
      .proof:
      false
    }
  }
}

/// How a message with content is cut: a head of fixed size in its own frame, the rest in chunks.
package struct ContentShape: Equatable, Sendable {
  package let headByteCount: Int
  package let byteCountLimit: Int
}

/// The sizes that Lethe wire keeps to.
package enum WireLimits {
  /// Type, sequence and request.
  package static let headerByteCount = 17
  /// The length in front, which does not count itself.
  package static let prefixByteCount = 4
  package static let tagByteCount = 32
  /// The length of a frame before authentication.
  package static let handshakeByteCount = 256
  package static let controlByteCount = 64 << 10
  package static let welcomeByteCount = 1 << 20
  /// What one chunk carries.
  package static let chunkByteCount = 1 << 20
  package static let chunkFrameByteCount = headerByteCount + chunkByteCount + tagByteCount
  /// A content's byte count and digest at the end of its control frame.
  package static let announcementByteCount = 40
  /// Contents that may be under way on one connection in one direction.
  package static let unfinishedContentCount = 4
  package static let nameByteCount = 64
  package static let numericClassByteCount = 1024
  package static let reasonByteCount = 512
}

extension String {
  /// The text for people to see: what could move a cursor, forge a line or turn the direction of
  /// writing is replaced by U+FFFD.
  var printable: String {
    guard unicodeScalars.contains(where: \.isUnprintable) else { return self }
    var text = String.UnicodeScalarView()
    for scalar in unicodeScalars { text.append(scalar.isUnprintable ? "\u{FFFD}" : scalar) }
    return String(text)
  }

  /// Whether this can name a numeric class: not empty, and nothing but printable characters.
  package var isNumericClass: Bool {
    !isEmpty && utf8.count <= WireLimits.numericClassByteCount
      && !unicodeScalars.contains(where: \.isUnprintable)
  }

  /// The text, cut behind the last whole scalar that fits.
  func clipped(toByteCount limit: Int) -> String {
    guard utf8.count > limit else { return self }
    var end = utf8.index(startIndex, offsetBy: limit)
    while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
    return String(unicodeScalars[..<end])
  }
}

extension Unicode.Scalar {
  /// Controls, line and paragraph separators, and what changes the direction of writing.
  fileprivate var isUnprintable: Bool {
    switch value {
    case 0..<0x20, 0x7f..<0xa0, 0x200e...0x200f, 0x2028...0x202e, 0x2066...0x2069: true
    default: false
    }
  }
}
