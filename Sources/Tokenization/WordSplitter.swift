/// Takes the words of a text, one after the other.
protocol WordSink {
  /// `bytes` is one normalised word in UTF-8.
  mutating func take(_ bytes: [UInt8], scalarCount: Int)
  /// Whether further words would not change the result, so that splitting can stop.
  var isFull: Bool { get }
}

/// Which parts of BERT's normalisation are on.
package struct TextNormalization: Equatable, Sendable {
  package var lowercases: Bool
  package var stripsAccents: Bool
  /// Puts spaces around Chinese, Japanese and Korean ideographs, so that each is a word.
  package var separatesIdeographs: Bool

  package init(lowercases: Bool, stripsAccents: Bool? = nil, separatesIdeographs: Bool = true) {
    self.lowercases = lowercases
    self.stripsAccents = stripsAccents ?? lowercases
    self.separatesIdeographs = separatesIdeographs
  }
}

/// Normalises UTF-8 text as BERT does and cuts it into words, in one pass.
///
/// The steps, in the reference's order: drop control characters, turn white space into spaces, set
/// ideographs apart, decompose (NFD) and drop non-spacing marks, lower the case, then cut at spaces
/// and around each punctuation mark. All work scalar by scalar but NFD, which reorders the marks
/// that follow a letter; those wait in `waiting` until the next scalar of class 0.
struct WordSplitter<Sink: WordSink> {
  private let normalization: TextNormalization
  private let tables = UnicodeTables.shared
  /// What each ASCII byte becomes: itself, its lower case, or one of the three actions.
  private let asciiActions: [UInt8]
  private var word: [UInt8] = []
  private var scalarCount = 0
  private var waiting: [(combiningClass: UInt32, scalar: UInt32)] = []
  var sink: Sink

  init(_ normalization: TextNormalization, into sink: Sink) {
    self.normalization = normalization
    self.sink = sink
    asciiActions = (0..<UInt32(128)).map { byte in
      let traits = UnicodeTables.shared[byte]
      if traits.contains(.dropped) { return Action.drop }
      if traits.contains(.space) { return Action.space }
      if traits.contains(.punctuation) { return Action.punctuation }
      let isLowered = normalization.lowercases && traits.contains(.hasLowerCase)
      return UInt8(isLowered ? byte + 32 : byte)
    }
  }

  /// Splits one text; nothing is carried over to the next.
  ///
  /// - Precondition: `text` is well-formed UTF-8.
  mutating func split(_ text: UnsafeBufferPointer<UInt8>) {
    var position = 0
    while position < text.count, !sink.isFull {
      let byte = text[position]
      if byte < 0x80 {
        position += 1
        let action = asciiActions[Int(byte)]
        // A dropped character is gone before the marks around it are put in order.
        if action == Action.drop { continue }
        if !waiting.isEmpty { releaseWaiting() }
        switch action {
        case Action.space: endWord()
        case Action.punctuation:
          endWord()
          word.append(byte)
          scalarCount = 1
          endWord()
        case let letter:
          word.append(letter)
          scalarCount += 1
        }
      } else {
        take(decodeScalar(text, &position))
      }
    }
    releaseWaiting()
    endWord()
  }

  private mutating func take(_ scalar: UInt32) {
    let traits = tables[scalar]
    if traits.isEmpty {
      releaseWaiting()
      return emit(scalar)
    }
    if traits.contains(.dropped) { return }
    if traits.contains(.space) {
      releaseWaiting()
      return endWord()
    }
    let standsAlone = normalization.separatesIdeographs && traits.contains(.ideograph)
    if standsAlone {
      releaseWaiting()
      endWord()
    }
    if normalization.stripsAccents && traits.contains(.decomposes) {
      for part in tables.decomposition(scalar) { order(part) }
    } else if normalization.stripsAccents {
      order(scalar)
    } else {
      lower(scalar, traits)
    }
    if standsAlone {
      releaseWaiting()
      endWord()
    }
  }

  /// Canonical ordering: a scalar of class 0 stands; others are sorted behind it, equals in place.
  private mutating func order(_ scalar: UInt32) {
    let traits = tables[scalar]
    if traits.contains(.reorders) {
      // A mark is dropped after the ordering, which it cannot disturb: sorting keeps the order of
      // the others whether or not it is among them.
      if !traits.contains(.mark) { waiting.append((tables.combiningClass(scalar), scalar)) }
      return
    }
    releaseWaiting()
    if !traits.contains(.mark) { lower(scalar, traits) }
  }

  private mutating func releaseWaiting() {
    if waiting.isEmpty { return }
    let ordered = waiting.enumerated().sorted {
      ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset)
    }
    waiting.removeAll(keepingCapacity: true)
    for (_, entry) in ordered { lower(entry.scalar, tables[entry.scalar]) }
  }

  private mutating func lower(_ scalar: UInt32, _ traits: UnicodeTables.Traits) {
    guard normalization.lowercases, traits.contains(.hasLowerCase) else {
      return traits.contains(.punctuation) ? emitPunctuation(scalar) : emit(scalar)
    }
    if scalar == UnicodeTables.dottedCapitalI {
      emit(UInt32(UInt8(ascii: "i")))
      emit(UnicodeTables.dotAbove)
    } else {
      emit(tables.lowerCase(scalar))
    }
  }

  private mutating func emitPunctuation(_ scalar: UInt32) {
    endWord()
    emit(scalar)
    endWord()
  }

  private mutating func emit(_ scalar: UInt32) {
    scalarCount += 1
    let continuation = { (shift: UInt32) in UInt8(0x80 | (scalar >> shift) & 0x3f) }
    switch scalar {
    case 0..<0x80:
      word.append(UInt8(scalar))
    case 0x80..<0x800:
      word.append(UInt8(0xc0 | scalar >> 6))
      word.append(continuation(0))
    case 0x800..<0x10000:
      word.append(UInt8(0xe0 | scalar >> 12))
      word.append(continuation(6))
      word.append(continuation(0))
    default:
      word.append(UInt8(0xf0 | scalar >> 18))
      word.append(continuation(12))
      word.append(continuation(6))
      word.append(continuation(0))
    }
  }

  private mutating func endWord() {
    if word.isEmpty { return }
    sink.take(word, scalarCount: scalarCount)
    word.removeAll(keepingCapacity: true)
    scalarCount = 0
  }
}

/// Stand-ins for bytes that never reach a word as themselves.
private enum Action {
  static let drop: UInt8 = 0
  static let space: UInt8 = 1
  static let punctuation: UInt8 = 2
}

/// Reads the scalar at `position` of well-formed UTF-8, at or above U+0080, and moves past it.
private func decodeScalar(_ text: UnsafeBufferPointer<UInt8>, _ position: inout Int) -> UInt32 {
  func continuation(_ offset: Int) -> UInt32 { UInt32(text[position + offset] & 0x3f) }
  let lead = UInt32(text[position])
  switch lead {
  case ..<0xe0:
    defer { position += 2 }
    return (lead & 0x1f) << 6 | continuation(1)
  case ..<0xf0:
    defer { position += 3 }
    return (lead & 0x0f) << 12 | continuation(1) << 6 | continuation(2)
  default:
    defer { position += 4 }
    return (lead & 0x07) << 18 | continuation(1) << 12 | continuation(2) << 6 | continuation(3)
  }
}
