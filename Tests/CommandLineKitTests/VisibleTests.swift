import CommandLineKit
import Testing

@Suite("Others' words in a verb's output") struct VisibleOutputTests {
  @Test("a cell keeps its line, and shows what a terminal would obey")
  func cells() {
    var table = TextTable([.left("name"), .right("n")])
    table.append(["a\nb\u{1b}[2J", "1"])
    table.append(["c", "22"])
    #expect(table.text == "name            n\na\\nb\\u{1b}[2J   1\nc              22")
  }

  @Test("the console writes out what a terminal would obey, whatever says it")
  func console() throws {
    let (output, errors) = (MemorySink(), MemorySink())
    let console = Console(output: output, errors: errors)
    try console.print("a\u{1b}[2J\u{9b}1mb")
    try console.printJSON(["a\u{9b}1m"])
    console.note("c\u{1b}]0;x\u{7}", lead: "")
    for text in [output.text, errors.text] {
      let controls = text.unicodeScalars.filter {
        $0 != "\n" && $0.properties.generalCategory == .control
      }
      #expect(controls.isEmpty && !text.isEmpty, "\(text.debugDescription)")
    }
  }
}
