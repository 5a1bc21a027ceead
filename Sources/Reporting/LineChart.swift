internal import CommandLineKit

/// Lines over two axes. The first is whole and lies below; those above it have gaps and smaller
/// dots, so that lines of the same values all show.
package struct LineChart: Figure {
  package struct Series: Sendable {
    package let name: String
    package let points: [(x: Double, y: Double)]
    /// How far points may be off, each way; drawn as a band.
    package let deviations: [Double]?
    /// Series of one kind share a colour.
    package let colour: Int

    package init(
      _ name: String, _ points: [(x: Double, y: Double)], deviations: [Double]? = nil,
      colour: Int
    ) {
      self.name = name
      self.points = points
      self.deviations = deviations
      self.colour = colour
    }
  }

  package let summary: String
  private let x: Axis
  private let y: Axis
  private let series: [Series]

  package init(_ summary: String, x: Axis, y: Axis, _ series: [Series]) {
    self.summary = summary
    (self.x, self.y, self.series) = (x, y, series)
  }

  package var legend: [LegendEntry] {
    series.enumerated().map {
      LegendEntry(colour: $1.colour, dash: Self.dash(ofSeries: $0), name: $1.name)
    }
  }

  /// The class of a line's dashes: `d0` has none.
  private static func dash(ofSeries index: Int) -> String {
    index == 0 ? "d0" : "d\(1 + (index - 1) % 3)"
  }

  /// One row for every place on the horizontal axis, thinned where there are many.
  package var table: [[String]] {
    let places = Set(series.flatMap { $0.points.map(\.x) }).sorted()
    let stride = max(1, (places.count + 24) / 25)
    let shown = places.enumerated().filter {
      $0.offset % stride == 0 || $0.offset == places.count - 1
    }
    return [[x.label] + series.map(\.name)]
      + shown.map { _, place in
        [x.text(place)]
          + series.map { one in
            one.points.first { $0.x == place }.map { Humanized.fixed($0.y, digits: 4) } ?? "–"
          }
      }
  }

  private static let (width, height) = (480.0, 300.0)
  private static let (left, right, top, bottom) = (72.0, 14.0, 12.0, 46.0)

  private func place(_ point: (x: Double, y: Double)) -> (x: Double, y: Double) {
    (
      Self.left + x.position(point.x) * (Self.width - Self.left - Self.right),
      Self.height - Self.bottom - y.position(point.y) * (Self.height - Self.top - Self.bottom)
    )
  }

  package var drawing: String {
    let (right, bottom) = (Self.width - Self.right, Self.height - Self.bottom)
    let number = Markup.number
    var parts = [
      "<svg viewBox=\"0 0 480 300\" role=\"img\" aria-label=\"\(Markup.escaped(summary))\">"
    ]
    for tick in y.ticks {
      let at = place((x.range.lowerBound, tick)).y
      parts.append(
        "<path class=\"rule\" d=\"M\(number(Self.left)) \(number(at))H\(number(right))\"/>"
          + "<text class=\"end\" x=\"\(number(Self.left - 6))\" y=\"\(number(at + 4))\">"
          + "\(Markup.escaped(y.text(tick)))</text>")
    }
    for tick in x.ticks {
      let at = place((tick, y.range.lowerBound)).x
      parts.append(
        "<path class=\"axis\" d=\"M\(number(at)) \(number(bottom))v4\"/>"
          + "<text class=\"middle\" x=\"\(number(at))\" y=\"\(number(bottom + 17))\">"
          + "\(Markup.escaped(x.text(tick)))</text>")
    }
    parts.append(
      "<path class=\"axis\" d=\"M\(number(Self.left)) \(number(bottom))H\(number(right))\"/>"
        + "<text class=\"middle\" x=\"\(number((Self.left + right) / 2))\" y=\"294\">"
        + "\(Markup.escaped(x.label))</text>"
        + "<text class=\"middle\" transform=\"translate(12 \(number((Self.top + bottom) / 2)))"
        + " rotate(-90)\">\(Markup.escaped(y.label))</text>")
    for (index, one) in series.enumerated() { parts += drawing(of: one, at: index) }
    return (parts + ["</svg>"]).joined()
  }

  private func drawing(of series: Series, at index: Int) -> [String] {
    var parts: [String] = []
    func path(_ points: [(x: Double, y: Double)]) -> String {
      points.map(place).map { "\(Markup.number($0.x)) \(Markup.number($0.y))" }
        .joined(separator: "L")
    }
    let points = series.points.filter { $0.x.isFinite && $0.y.isFinite }
    guard !points.isEmpty else { return [] }
    if let deviations = series.deviations, deviations.contains(where: { $0 > 0 }) {
      let upper = zip(series.points, deviations).map { (x: $0.x, y: $0.y + $1) }
      let lower = zip(series.points, deviations).map { (x: $0.x, y: $0.y - $1) }
      parts.append(
        "<path class=\"band c\(series.colour)\" d=\"M\(path(upper + lower.reversed()))Z\"/>")
    }
    parts.append(
      "<path class=\"line c\(series.colour) \(Self.dash(ofSeries: index))\""
        + " d=\"M\(path(points))\"/>")
    if points.count <= 24 {
      let radius = Markup.number(max(4.5 - 1.2 * Double(index), 1.5))
      for point in points {
        let at = place(point)
        parts.append(
          "<circle class=\"dot c\(series.colour)\" r=\"\(radius)\" cx=\"\(Markup.number(at.x))\""
            + " cy=\"\(Markup.number(at.y))\"><title>\(Markup.escaped(series.name)): "
            + "\(Markup.escaped(x.text(point.x))), \(Humanized.fixed(point.y, digits: 4))</title>"
            + "</circle>")
      }
    }
    return parts
  }
}
