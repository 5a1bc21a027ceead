/// Blocks by shard, sequence and stage, coloured by their state.
package struct GridChart: Figure {
  package struct Cell: Sendable {
    /// `trained`, `masked`, `training` or `waiting`.
    package let state: String
    /// What a reader sees who points at it.
    package let title: String

    package init(state: String, title: String) {
      self.state = state
      self.title = title
    }
  }

  package struct Row: Sendable {
    package let name: String
    /// Cells of each sequence, the topmost layers first.
    package let sequences: [[Cell]]

    package init(_ name: String, _ sequences: [[Cell]]) {
      self.name = name
      self.sequences = sequences
    }
  }

  /// More rows make no picture.
  package static let rowLimit = 200
  private static let states = ["trained", "training", "masked", "waiting"]

  package let summary: String
  private let rows: [Row]

  package init(_ summary: String, _ rows: [Row]) {
    self.summary = summary
    self.rows = rows
  }

  package var legend: [LegendEntry] { [] }

  package var table: [[String]] {
    [["shard"] + Self.states]
      + rows.map { row in
        let cells = row.sequences.flatMap { $0 }
        return [row.name] + Self.states.map { state in "\(cells.count { $0.state == state })" }
      }
  }

  package var drawing: String {
    var parts = ["<div class=\"grid\" role=\"img\" aria-label=\"\(Markup.escaped(summary))\">"]
    for row in rows.prefix(Self.rowLimit) {
      parts.append("<div class=\"shard\"><b>\(Markup.escaped(row.name))</b>")
      for sequence in row.sequences {
        let cells = sequence.map {
          "<i class=\"\(Markup.escaped($0.state))\" title=\"\(Markup.escaped($0.title))\"></i>"
        }
        parts.append("<span>\(cells.joined())</span>")
      }
      parts.append("</div>")
    }
    if rows.count > Self.rowLimit {
      parts.append("<p>and \(rows.count - Self.rowLimit) more shards, in the table</p>")
    }
    let key = Self.states.map { "<span><i class=\"\($0)\"></i> \($0)</span>" }
    return (parts + ["</div><p class=\"key\" aria-hidden=\"true\">\(key.joined())</p>"]).joined()
  }
}
