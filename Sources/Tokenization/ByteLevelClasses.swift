/// What the expression of GPT-2's pre-tokenizer takes each Unicode scalar for.
///
/// A text must give the same tokens in every build, and the standard library's Unicode version
/// changes with the toolchain; so the tables were recorded from the reference on every scalar by
/// `Tests/Reference/record_byte_level.py`, and a test holds the pieces to it.
struct ByteLevelClasses: Sendable {
  enum Class: UInt8 {
    case other, letter, number, space
  }

  /// Built once, as it takes a megabyte.
  static let shared = ByteLevelClasses()

  /// One entry per code point, so that a look-up is a load.
  private let classes: [Class]

  private init() {
    var classes = [Class](repeating: .other, count: 0x110000)
    for (ranges, kind) in [
      (Self.letters, Class.letter), (Self.numbers, .number), (Self.spaces, .space),
    ] {
      for index in stride(from: 0, to: ranges.count, by: 2) {
        for scalar in ranges[index]...ranges[index + 1] { classes[Int(scalar)] = kind }
      }
    }
    self.classes = classes
  }

  subscript(scalar: Unicode.Scalar) -> Class { classes[Int(scalar.value)] }
}

/// Cuts a text as GPT-2's expression does:
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
struct ByteLevelSplitter {
  private let scalars: [Unicode.Scalar]
  private let classes: [ByteLevelClasses.Class]

  init(_ text: Substring.UnicodeScalarView) {
    scalars = Array(text)
    classes = scalars.map { ByteLevelClasses.shared[$0] }
  }

  /// Calls `body` with the UTF-8 of one piece after the other until it answers `false`.
  func forEachPiece(_ body: ([UInt8]) -> Bool) {
    var start = 0
    while start < scalars.count {
      let end = pieceEnd(from: start)
      var bytes: [UInt8] = []
      for scalar in scalars[start..<end] { bytes.append(contentsOf: UTF8.encode(scalar)!) }
      guard body(bytes) else { return }
      start = end
    }
  }

  private func pieceEnd(from start: Int) -> Int {
    if let end = contractionEnd(from: start) { return end }
    // One space may lead a run of any other class.
    let first = scalars[start] == " " && start + 1 < scalars.count ? start + 1 : start
    if classes[first] != .space { return runEnd(from: first) }
    // Of a run of spaces the last is left to the word behind it, unless it is all there is.
    let end = runEnd(from: start)
    return end < scalars.count && end - start > 1 ? end - 1 : end
  }

  private func runEnd(from start: Int) -> Int {
    classes[start...].firstIndex { $0 != classes[start] } ?? classes.count
  }

  private static let contractions: [[Unicode.Scalar]] =
    ["s", "t", "re", "ve", "m", "ll", "d"].map { Array($0.unicodeScalars) }

  private func contractionEnd(from start: Int) -> Int? {
    guard scalars[start] == "'" else { return nil }
    let rest = scalars[(start + 1)...]
    return Self.contractions.first { rest.starts(with: $0) }.map { start + 1 + $0.count }
  }
}

/// The pieces of a text, each in UTF-8; for comparison with the reference.
package func byteLevelPieces(_ text: String) -> [[UInt8]] {
  var pieces: [[UInt8]] = []
  ByteLevelSplitter(text[...].unicodeScalars).forEachPiece {
    pieces.append($0)
    return true
  }
  return pieces
}
