import Foundation
import FoundationXML
import Reporting
import Testing

@Suite struct AxisTests {
  static let linear: [([Double], Bool, [String])] = [
    ([0, 1], false, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ([0.812, 0.874], false, ["0.80", "0.82", "0.84", "0.86", "0.88"]),
    ([3, 97], true, ["0", "20", "40", "60", "80", "100"]),
    ([0, 48_138], true, ["0", "10,000", "20,000", "30,000", "40,000", "50,000"]),
    ([-0.5, 0.5], false, ["-0.6", "-0.4", "-0.2", "0.0", "0.2", "0.4", "0.6"]),
    ([1, 3], false, ["1.0", "1.5", "2.0", "2.5", "3.0"]),
    ([7, 7], false, ["7.0", "7.5", "8.0", "8.5"]),
    ([], false, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
    ([.nan, .infinity, 0, 1], false, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
  ]

  @Test("ticks are round numbers around what has to fit", arguments: linear)
  func ticks(values: [Double], fromZero: Bool, texts: [String]) {
    let axis = Axis("x", values, fromZero: fromZero)
    #expect(axis.ticks.map(axis.text) == texts)
  }

  static let logarithmic: [([Double], [String])] = [
    ([0.02, 35], ["0.01", "0.1", "1", "10", "100"]), ([1, 1], ["1", "10"]), ([5, 6], ["1", "10"]),
    ([0, -3, 100, 1000], ["100", "1,000"]), ([], ["1", "10"]),
  ]

  @Test("logarithmic ticks are powers of ten", arguments: logarithmic)
  func decades(values: [Double], texts: [String]) {
    let axis = Axis("x", values, isLogarithmic: true)
    #expect(axis.ticks.map(axis.text) == texts)
  }
}

@Suite struct PageTests {
  static let hostile = #"<script>alert("&")</script>"#

  static let figures: [any Figure] = [
    LineChart(
      "falls \(hostile)", x: Axis("deletions \(hostile)", [0, 2], isWhole: true),
      y: Axis("accuracy, share", [0.5, 0.9]),
      [
        LineChart.Series(
          hostile, [(x: 0, y: 0.9), (x: 1, y: 0.7), (x: 2, y: 0.5)], deviations: [0, 0.1, 0.1],
          colour: 0),
        LineChart.Series("theory", [(x: 0, y: 0.9)], colour: 0),
      ]),
    BarChart(
      "costs", Axis("records", [0, 3], isWhole: true), [BarChart.Bar(hostile, 3, colour: 1)]),
    GridChart(
      "stands",
      [GridChart.Row("shard 0", [[GridChart.Cell(state: "masked", title: hostile)]])]),
  ]

  static func page(_ parts: [Page.Part]) -> String {
    Page(title: hostile, lead: hostile, [Page.Section(hostile, parts)]).html
  }

  /// An XML parser is stricter than a browser: everything opened is closed, every text escaped.
  @Test("a page is well-formed, whatever names are")
  func wellFormed() throws {
    let html = Self.page(
      Self.figures.map { .figure(title: Self.hostile, $0) } + [
        .paragraph(Self.hostile), .facts([(Self.hostile, "1")]), .commands(Self.hostile),
        .table([["a", Self.hostile], ["1", "2"]]),
      ])
    #expect(!html.contains("<script"))
    #expect(!html.contains("http"), "nothing is fetched from anywhere")
    let body = try #require(html.range(of: "<body>"))
    let end = try #require(html.range(of: "</body>"))
    let parser = XMLParser(data: Data(html[body.lowerBound..<end.upperBound].utf8))
    #expect(parser.parse(), "\(String(describing: parser.parserError)) at \(parser.lineNumber)")
  }

  @Test("a plot says what its axes measure, stands for itself in words, and shows its numbers")
  func alternatives() {
    let line = Self.figures[0].drawing
    #expect(line.contains("role=\"img\" aria-label=\"falls &lt;script&gt;"))
    #expect(line.contains(">deletions &lt;script&gt;"))
    #expect(line.contains(">accuracy, share</text>"))
    #expect(Self.figures[1].drawing.contains(">records</text>"))
    #expect(Self.figures[0].table[1] == ["0", "0.9000", "0.9000"])
    #expect(Self.figures[0].table[2] == ["1", "0.7000", "–"])
    #expect(Self.figures[1].table == [["", "records"], [Self.hostile, "3"]])
    #expect(Self.figures[2].table[1] == ["shard 0", "0", "0", "1", "0"])
    for figure in Self.figures {
      let html = Self.page([.figure(title: "t", figure)])
      #expect(html.contains("<details><summary>The numbers</summary>"))
    }
  }

  @Test("points lie where the axes say")
  func places() {
    let chart = LineChart(
      "s", x: Axis("x", [0, 10]), y: Axis("y", [0, 1]),
      [LineChart.Series("a", [(x: 0, y: 0), (x: 5, y: 0.5), (x: 10, y: 1)], colour: 3)])
    #expect(chart.drawing.contains("d=\"M72.00 254.00L269.00 133.00L466.00 12.00\""))
    let logarithmic = LineChart(
      "s", x: Axis("x", [1, 100], isLogarithmic: true), y: Axis("y", [0, 1]),
      [LineChart.Series("a", [(x: 1, y: 0), (x: 10, y: 0), (x: 100, y: 0)], colour: 3)])
    #expect(logarithmic.drawing.contains("d=\"M72.00 254.00L269.00 254.00L466.00 254.00\""))
  }

  @Test("lines of the same values all show, and the legend tells them apart")
  func covered() {
    let points = [(x: 0.0, y: 0.0), (x: 10.0, y: 1.0)]
    let chart = LineChart(
      "s", x: Axis("x", [0, 10]), y: Axis("y", [0, 1]),
      (0..<4).map { LineChart.Series("\($0)", points, colour: $0) })
    let line = "d=\"M72.00 254.00L466.00 12.00\""
    for (index, radius) in ["4.50", "3.30", "2.10", "1.50"].enumerated() {
      #expect(chart.drawing.contains("<path class=\"line c\(index) d\(index)\" \(line)/>"))
      #expect(chart.drawing.contains("<circle class=\"dot c\(index)\" r=\"\(radius)\""))
    }
    #expect(chart.legend.map(\.dash) == ["d0", "d1", "d2", "d3"])
  }

  @Test("the same content is the same bytes")
  func deterministic() {
    #expect(
      Self.page([.figure(title: "t", Self.figures[0])])
        == Self.page([.figure(title: "t", Self.figures[0])]))
  }

  @Test("a grid of many shards says how many it leaves out")
  func manyShards() {
    let row = GridChart.Row("shard", [[GridChart.Cell(state: "trained", title: "")]])
    let grid = GridChart("s", Array(repeating: row, count: 250))
    #expect(grid.drawing.contains("and 50 more shards"))
    #expect(grid.table.count == 251)
  }
}
