import ByteCoding

/// Rows in aligned columns, two spaces apart, with a heading line.
package struct TextTable: Sendable {
  package enum Alignment: Sendable { case left, right }

  package struct Column: Sendable {
    let heading: String
    let alignment: Alignment

    package static func left(_ heading: String) -> Column {
      Column(heading: heading, alignment: .left)
    }
    /// For numbers.
    package static func right(_ heading: String) -> Column {
      Column(heading: heading, alignment: .right)
    }
  }

  private let columns: [Column]
  private var rows: [[String]] = []

  package init(_ columns: [Column]) { self.columns = columns }

  /// - Precondition: one cell a column. Line breaks in a cell are written out, as all controls are.
  package mutating func append(_ cells: [String]) {
    precondition(cells.count == columns.count, "a row has one cell a column")
    rows.append(cells.map(\.visible))
  }

  /// The lines, no line ending in spaces. A table without rows is its heading.
  package var text: String {
    let widths = columns.indices.map { index in
      rows.reduce(columnCount(of: columns[index].heading)) {
        max($0, columnCount(of: $1[index]))
      }
    }
    return ([columns.map(\.heading)] + rows).map { row in
      let cells = row.indices.map {
        padded(row[$0], to: widths[$0], alignment: columns[$0].alignment)
      }
      var line = cells.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }
}
