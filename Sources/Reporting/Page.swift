/// One self-contained page: text, tables and figures, for light and dark and any width.
package struct Page: Sendable {
  package enum Part: Sendable {
    case paragraph(String)
    /// Short facts: what, and how much.
    case facts([(name: String, value: String)])
    case figure(title: String, any Figure)
    /// Headings first.
    case table([[String]])
    /// Commands, as they are typed.
    case commands(String)
  }

  package struct Section: Sendable {
    package let title: String
    package let parts: [Part]

    package init(_ title: String, _ parts: [Part]) {
      self.title = title
      self.parts = parts
    }
  }

  private let title: String
  private let lead: String
  private let sections: [Section]

  package init(title: String, lead: String, _ sections: [Section]) {
    self.title = title
    self.lead = lead
    self.sections = sections
  }

  /// The page's bytes, the same for the same content.
  package var html: String {
    var parts = [
      """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <title>\(Markup.escaped(title))</title>
      <link rel="icon" href="data:,">
      <style>
      \(Self.style)
      </style>
      </head>
      <body>
      <header><h1>\(Markup.escaped(title))</h1><p>\(Markup.escaped(lead))</p></header>
      <main>
      """
    ]
    for section in sections {
      parts.append("<section><h2>\(Markup.escaped(section.title))</h2>")
      var figures: [String] = []
      func flush() {
        guard !figures.isEmpty else { return }
        parts.append("<div class=\"figures\">\(figures.joined(separator: "\n"))</div>")
        figures = []
      }
      for part in section.parts {
        if case .figure(let title, let figure) = part {
          figures.append(Self.html(title, figure))
        } else {
          flush()
          parts.append(Self.html(part))
        }
      }
      flush()
      parts.append("</section>")
    }
    return (parts + ["</main>\n</body>\n</html>\n"]).joined(separator: "\n")
  }

  private static func html(_ part: Part) -> String {
    switch part {
    case .paragraph(let text): return "<p>\(Markup.escaped(text))</p>"
    case .facts(let facts):
      let items = facts.map {
        "<div><dt>\(Markup.escaped($0.name))</dt><dd>\(Markup.escaped($0.value))</dd></div>"
      }
      return "<dl>\(items.joined())</dl>"
    case .figure(let title, let figure): return html(title, figure)
    case .table(let rows): return html(rows)
    case .commands(let text): return "<pre tabindex=\"0\">\(Markup.escaped(text))</pre>"
    }
  }

  private static func html(_ title: String, _ figure: any Figure) -> String {
    let legend = figure.legend.map { entry in
      "<li><svg class=\"sample\" viewBox=\"0 0 28 10\" aria-hidden=\"true\"><path class=\"line "
        + "c\(entry.colour) \(entry.dash)\" d=\"M1 5H27\"/></svg>"
        + "\(Markup.escaped(entry.name))</li>"
    }
    return """
      <figure>
      <figcaption>\(Markup.escaped(title))</figcaption>
      \(figure.drawing)
      \(legend.isEmpty ? "" : "<ul class=\"legend\">\(legend.joined())</ul>")
      <p class="summary">\(Markup.escaped(figure.summary))</p>
      <details><summary>The numbers</summary>\(html(figure.table))</details>
      </figure>
      """
  }

  /// Scrolls by itself where it is wider than the page.
  private static func html(_ rows: [[String]]) -> String {
    guard let head = rows.first else { return "" }
    let heads = head.map { "<th scope=\"col\">\(Markup.escaped($0))</th>" }.joined()
    let body = rows.dropFirst().map { row in
      let first = row.first.map { "<th scope=\"row\">\(Markup.escaped($0))</th>" } ?? ""
      return "<tr>\(first)\(row.dropFirst().map { "<td>\(Markup.escaped($0))</td>" }.joined())</tr>"
    }
    let kind = head.count == 2 ? " class=\"pairs\"" : ""
    return
      "<div class=\"scroll\" tabindex=\"0\"><table\(kind)><thead><tr>\(heads)</tr></thead><tbody>"
      + "\(body.joined())</tbody></table></div>"
  }
}
