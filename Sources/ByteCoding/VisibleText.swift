extension Unicode.Scalar {
  /// Whether a terminal would do something with this instead of showing it, or show the text around
  /// it as what it is not: controls, line and paragraph separators, marks that turn the direction.
  package var isUnfitToShow: Bool {
    switch self {
    case "\u{2028}", "\u{2029}", "\u{200e}", "\u{200f}", "\u{61c}", "\u{202a}"..."\u{202e}",
      "\u{2066}"..."\u{2069}", "\u{feff}":
      true
    default: properties.generalCategory == .control
    }
  }
}

extension StringProtocol {
  /// The text on one line, with what a terminal would obey written out, as `\u{1b}` or `\n`.
  ///
  /// For every name, reason, label and id that somebody else chose.
  package var visible: String { escaped(keeping: []) }

  /// The same for a text of several lines and columns: those of its own making stay.
  package var visibleLines: String { escaped(keeping: ["\n", "\t"]) }

  private func escaped(keeping kept: Set<Unicode.Scalar>) -> String {
    func isKept(_ scalar: Unicode.Scalar) -> Bool { !scalar.isUnfitToShow || kept.contains(scalar) }
    if unicodeScalars.allSatisfy(isKept) { return String(self) }
    var text = ""
    for scalar in unicodeScalars {
      switch scalar {
      case _ where isKept(scalar): text.unicodeScalars.append(scalar)
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      default: text += "\\u{\(String(scalar.value, radix: 16))}"
      }
    }
    return text
  }

  /// JSON that says the same in a spelling that no terminal obeys.
  ///
  /// - Precondition: it is JSON on lines, whose strings hold such scalars and nothing else does.
  package var visibleJSON: String {
    var text = ""
    for scalar in unicodeScalars {
      if scalar.isUnfitToShow, scalar != "\n", scalar != "\t" {
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
