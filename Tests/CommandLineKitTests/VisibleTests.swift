import CommandLineKit
import Testing

@Suite("Cells of others' words") struct VisibleCellTests {
  @Test("a cell keeps its line, and shows what a terminal would obey")
  func cells() {
    var table = TextTable([.left("name"), .right("n")])
    table.append(["a\nb\u{1b}[2J", "1"])
    table.append(["c", "22"])
    #expect(table.text == "name            n\na\\nb\\u{1b}[2J   1\nc              22")
  }
}
