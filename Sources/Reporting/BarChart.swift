/// Horizontal bars over one axis that starts at zero.
package struct BarChart: Figure {
  package struct Bar: Sendable {
    package let name: String
    package let value: Double
    package let colour: Int

    package init(_ name: String, _ value: Double, colour: Int) {
      self.name = name
      self.value = value
      self.colour = colour
    }
  }

  package let summary: String
  private let axis: Axis
  private let bars: [Bar]
  private let text: @Sendable (Double) -> String

  /// - Parameter text: A value as it stands beside its bar; by default as on the axis.
  package init(
    _ summary: String, _ axis: Axis, _ bars: [Bar], text: (@Sendable (Double) -> String)? = nil
  ) {
    self.summary = summary
    (self.axis, self.bars) = (axis, bars)
    self.text = text ?? { axis.text($0) }
  }

  package var legend: [LegendEntry] { [] }

  package var table: [[String]] {
    [["", axis.label]] + bars.map { [$0.name, text($0.value)] }
  }

  /// Names stand above their bars, so that long ones fit a narrow page.
  package var drawing: String {
    let number = Markup.number
    let (left, width) = (8.0, 480.0 - 16)
    let end = 8 + Double(bars.count) * 44
    var parts = [
      "<svg viewBox=\"0 0 480 \(number(end + 44))\" role=\"img\""
        + " aria-label=\"\(Markup.escaped(summary))\">"
    ]
    for (index, tick) in axis.ticks.enumerated() {
      let at = left + axis.position(tick) * width
      let side = index == 0 ? "start" : index == axis.ticks.count - 1 ? "end" : "middle"
      parts.append(
        "<path class=\"rule\" d=\"M\(number(at)) 4V\(number(end))\"/>"
          + "<text class=\"\(side)\" x=\"\(number(at))\" y=\"\(number(end + 16))\">"
          + "\(Markup.escaped(axis.text(tick)))</text>")
    }
    for (index, bar) in bars.enumerated() {
      let top = 8 + Double(index) * 44
      parts.append(
        "<text x=\"\(number(left))\" y=\"\(number(top + 12))\">\(Markup.escaped(bar.name)): "
          + "\(Markup.escaped(text(bar.value)))</text>"
          + "<rect class=\"bar c\(bar.colour)\" x=\"\(number(left))\" y=\"\(number(top + 17))\""
          + " width=\"\(number(max(axis.position(bar.value) * width, 1)))\" height=\"16\"/>")
    }
    parts.append(
      "<text class=\"middle\" x=\"240\" y=\"\(number(end + 36))\">"
        + "\(Markup.escaped(axis.label))</text>"
    )
    return (parts + ["</svg>"]).joined()
  }
}
