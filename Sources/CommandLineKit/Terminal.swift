import Glibc

/// What the far end of a descriptor can show.
package struct Terminal: Equatable, Sendable {
  /// Columns of the terminal; `nil` where output goes to a file or a pipe.
  package let columnCount: Int?
  /// Whether escape sequences for colour and weight are welcome.
  package let isStyled: Bool
  /// Whether a person sits there, also at a terminal that can neither redraw nor colour.
  package let isInteractive: Bool

  package init(columnCount: Int?, isStyled: Bool, isInteractive: Bool? = nil) {
    self.columnCount = columnCount
    self.isStyled = isStyled
    self.isInteractive = isInteractive ?? (columnCount != nil)
  }

  /// Not a terminal: no bar, no colour.
  package static let none = Terminal(columnCount: nil, isStyled: false)

  /// Asks the system about a descriptor. A set `NO_COLOR` (https://no-color.org) or `TERM=dumb`
  /// turns styles off; a dumb terminal also gets no redrawing.
  package init(descriptor: CInt, environment: [String: String]) {
    let isDumb = environment["TERM"] == "dumb"
    guard isatty(descriptor) == 1 else {
      self = .none
      return
    }
    guard !isDumb else {
      self.init(columnCount: nil, isStyled: false, isInteractive: true)
      return
    }
    var size = winsize()
    let known = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    self.init(
      columnCount: known ? Int(size.ws_col) : 80,
      isStyled: environment["NO_COLOR", default: ""].isEmpty)
  }

  /// Text between escape sequences, or as it is where styles are off.
  package func styled(_ text: String, _ style: Style) -> String {
    isStyled ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }

  package enum Style: Int, Sendable {
    case bold = 1
    case dim = 2
    case red = 31
    case green = 32
    case yellow = 33
  }
}
