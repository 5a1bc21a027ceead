/// The lines of a text file, as bytes: cut at line feeds (0A) and nowhere else.
///
/// Swift's `isNewline` also cuts at U+2028, U+0085, VT and FF, which an id or a token may hold, and
/// a `Character` joins CR and LF into one that equals neither. So every reader of lines cuts here.
/// One carriage return before a line feed, or at the file's end, belongs to the line's end; a byte
/// order mark at the file's start belongs to no line.
package struct TextLines: Sequence, IteratorProtocol {
  package struct Line: Equatable, Sendable {
    /// From 1, as editors count.
    package let number: Int
    /// Without its end.
    package let bytes: ArraySlice<UInt8>
  }

  private var rest: ArraySlice<UInt8>
  private var number = 0

  package init(_ bytes: [UInt8]) {
    rest = Self.withoutByteOrderMark(bytes)
  }

  /// Whether nothing follows the lines taken so far.
  package var isAtEnd: Bool { rest.isEmpty }

  /// The next line; what follows the last line feed is a line unless it is empty.
  package mutating func next() -> Line? {
    guard !rest.isEmpty else { return nil }
    number += 1
    let end = rest.firstIndex(of: 0x0a) ?? rest.endIndex
    let line = rest[rest.startIndex..<end]
    rest = end < rest.endIndex ? rest[(end + 1)...] : []
    return Line(number: number, bytes: line.last == 0x0d ? line.dropLast() : line)
  }

  /// A file's bytes behind the mark EF BB BF, which some editors put before UTF-8.
  package static func withoutByteOrderMark(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
    bytes.starts(with: byteOrderMark) ? bytes[byteOrderMark.count...] : bytes[...]
  }

  private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]
}
