import ByteCoding

/// Cuts RFC 4180 bytes into rows of cells.
///
/// Quoted cells may hold commas, line ends and doubled quotes; rows end with LF or CRLF, the last
/// one also with the file. Space around cells belongs to them.
struct CSVRowScanner {
  enum Row {
    /// The cells, and the row's bytes without its line end.
    case cells([[UInt8]], range: Range<Int>, line: Int)
    case malformed(DatasetProblem)
    /// The file ended inside quotes that opened in the row of this line.
    case unterminated(line: Int)
  }

  /// How a cell ended.
  private enum End {
    case comma
    case row
    case stray(DatasetProblem.Kind)
    case file
  }

  private let bytes: [UInt8]
  private var position: Int
  private var line = 1
  /// Where the current row starts.
  private var start = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    position = TextLines.withoutByteOrderMark(bytes).startIndex
  }

  var isAtEnd: Bool { position >= bytes.count }

  /// The next row; `nil` at the end of the file.
  mutating func next() -> Row? {
    guard !isAtEnd else { return nil }
    start = position
    let firstLine = line
    var cells: [[UInt8]] = []
    while true {
      var cell: [UInt8] = []
      let isQuoted = peek() == UInt8(ascii: "\"")
      let end = isQuoted ? scanQuoted(into: &cell) : scanPlain(into: &cell)
      cells.append(cell)
      switch end {
      case .comma: continue
      case .row: return finish(cells, firstLine)
      case .file: return .unterminated(line: firstLine)
      case .stray(let kind):
        skipLine()
        return .malformed(DatasetProblem(line: firstLine, kind: kind))
      }
    }
  }

  private mutating func finish(_ cells: [[UInt8]], _ firstLine: Int) -> Row {
    let range = start..<position
    takeLineEnd()
    guard range.count <= DatasetLimits.lineByteCount else {
      return .malformed(
        DatasetProblem(line: firstLine, kind: .lineTooLong(byteCount: range.count)))
    }
    return .cells(cells, range: range, line: firstLine)
  }

  /// Up to a comma or line end, which only the comma is taken of.
  private mutating func scanPlain(into cell: inout [UInt8]) -> End {
    let from = position
    while let byte = peek() {
      switch byte {
      case UInt8(ascii: ","), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        cell.append(contentsOf: bytes[from..<position])
        return endCell()
      case UInt8(ascii: "\""): return .stray(.strayQuote(atByte: position - start))
      default: position += 1
      }
    }
    cell.append(contentsOf: bytes[from..<position])
    return .row
  }

  private mutating func scanQuoted(into cell: inout [UInt8]) -> End {
    position += 1
    while let byte = peek() {
      position += 1
      if byte == UInt8(ascii: "\"") {
        guard peek() == UInt8(ascii: "\"") else { return endCell() }
        position += 1
      } else if byte == UInt8(ascii: "\n") {
        line += 1
      }
      cell.append(byte)
    }
    return .file
  }

  /// What stands after a cell; a line end is left for `finish`.
  private mutating func endCell() -> End {
    switch peek() {
    case nil, UInt8(ascii: "\n"): return .row
    case UInt8(ascii: ","):
      position += 1
      return .comma
    case UInt8(ascii: "\r"):
      let isLineEnd = position + 1 < bytes.count && bytes[position + 1] == UInt8(ascii: "\n")
      return isLineEnd ? .row : .stray(.strayCarriageReturn(atByte: position - start))
    default: return .stray(.strayQuote(atByte: position - start))
    }
  }

  private mutating func takeLineEnd() {
    if peek() == UInt8(ascii: "\r") { position += 1 }
    if peek() == UInt8(ascii: "\n") {
      position += 1
      line += 1
    }
  }

  /// After a mistake reading goes on at the next line, wherever that is.
  private mutating func skipLine() {
    while let byte = peek(), byte != UInt8(ascii: "\n") { position += 1 }
    takeLineEnd()
  }

  private func peek() -> UInt8? {
    position < bytes.count ? bytes[position] : nil
  }
}
