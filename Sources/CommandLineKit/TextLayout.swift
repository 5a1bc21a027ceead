/// Columns a text takes on a terminal: none for combining marks and controls, two for East Asian
/// wide characters and most emoji, one for the rest.
package func columnCount(of text: String) -> Int {
  text.unicodeScalars.reduce(0) { $0 + columnCount(of: $1) }
}

private func columnCount(of scalar: Unicode.Scalar) -> Int {
  switch scalar.value {
  case 0x20...0x7E: return 1
  case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
    0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
    return 2
  default: break
  }
  switch scalar.properties.generalCategory {
  case .nonspacingMark, .enclosingMark, .format, .control: return 0
  default: return 1
  }
}

/// Fills paragraphs to `columnCount`, each line led by `indent` spaces.
///
/// Empty lines separate paragraphs; single line breaks are refilled, except that a line which
/// begins with a space keeps its shape. A word wider than the line stands alone on one.
package func wrapped(_ text: String, to limit: Int, indent: Int = 0) -> [String] {
  let margin = String(repeating: " ", count: indent)
  var lines: [String] = []
  var line = ""
  func flush() {
    if !line.isEmpty { lines.append(margin + line) }
    line = ""
  }
  for source in text.split(separator: "\n", omittingEmptySubsequences: false) {
    if source.isEmpty {
      flush()
      lines.append("")
    } else if source.first == " " {
      flush()
      lines.append(margin + source)
    } else {
      for word in source.split(separator: " ") {
        let wanted = indent + columnCount(of: line) + 1 + columnCount(of: String(word))
        if !line.isEmpty, wanted > limit { flush() }
        line += line.isEmpty ? String(word) : " \(word)"
      }
    }
  }
  flush()
  return lines
}

/// `text` and spaces up to `columnCount`; longer text is left as it is.
package func padded(_ text: String, to limit: Int, alignment: TextTable.Alignment = .left) -> String
{
  let padding = String(repeating: " ", count: max(0, limit - columnCount(of: text)))
  return switch alignment {
  case .left: text + padding
  case .right: padding + text
  }
}
