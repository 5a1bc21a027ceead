internal import CommandLineKit

/// Text as HTML and SVG want it.
enum Markup {
  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  /// A coordinate: two decimals say where to paint exactly enough.
  static func number(_ value: Double) -> String { Humanized.fixed(value, digits: 2) }
}

/// A picture of a report with the numbers behind it.
package protocol Figure: Sendable {
  /// What it shows, in a sentence that stands for the picture where it cannot be seen.
  var summary: String { get }
  /// A drawing, complete in itself.
  var drawing: String { get }
  var legend: [LegendEntry] { get }
  /// The numbers, headings first.
  var table: [[String]] { get }
}

/// A line of a legend.
package struct LegendEntry: Sendable {
  /// Its place among the colours of the page.
  package let colour: Int
  /// The class of its dashes.
  package let dash: String
  package let name: String
}
