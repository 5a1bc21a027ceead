import CoordinatorCore
import Hashing
import Testing
import WireFormat

/// What a peer says for people to read has a limit and cannot move a cursor or forge a line.
@Suite("Wire: texts") struct TextTests {
  struct Row: Sendable {
    var text: String
    var shown: String
    var because: String
  }

  static let rows = [
    Row(text: "plain, ünïcode 機", shown: "plain, ünïcode 機", because: "letters stay"),
    Row(text: "a\nb", shown: "a\u{FFFD}b", because: "a newline forges a line of the log"),
    Row(text: "\u{1B}[2Jx", shown: "\u{FFFD}[2Jx", because: "an escape clears the screen"),
    Row(text: "\u{9B}1mx", shown: "\u{FFFD}1mx", because: "so does its eight-bit form"),
    Row(text: "a\u{2028}b\u{85}c", shown: "a\u{FFFD}b\u{FFFD}c", because: "these end lines, too"),
    Row(text: "a\u{202E}b\u{2066}c", shown: "a\u{FFFD}b\u{FFFD}c", because: "turned letters"),
    Row(text: "\u{0}\u{7F}", shown: "\u{FFFD}\u{FFFD}", because: "NUL and DEL"),
  ]

  @Test("are replaced by whoever writes and by whoever reads", arguments: rows)
  func printable(_ row: Row) throws {
    let written = WireMessage.failed(epoch: 1, Failure(kind: .fatal, reason: row.text))
    let expected = WireMessage.failed(epoch: 1, Failure(kind: .fatal, reason: row.shown))
    let (type, head, _) = written.parts
    #expect(try WireMessage(type, head: head[...], content: []) == expected, "\(row.because)")
    // A writer that lets everything through.
    let bytes = Array(row.text.utf8)
    let raw = head.prefix(9) + [UInt8(bytes.count), 0, 0, 0] + bytes
    #expect(try WireMessage(type, head: raw, content: []) == expected, "\(row.because)")
  }

  @Test("are cut where they are written, and refused over the limit where they are read")
  func limits() throws {
    let long = String(repeating: "ü", count: 2_000)
    var introduction = Samples.introduction
    (introduction.name, introduction.host) = (long, long)
    let (type, head, _) = WireMessage.hello(introduction).parts
    guard case .hello(let read) = try WireMessage(type, head: head[...], content: []) else {
      Issue.record("no hello")
      return
    }
    #expect(read.name.utf8.count == 64 && read.host.utf8.count == 64)
    let failed = WireMessage.failed(epoch: 1, Failure(kind: .host, reason: long)).parts
    #expect(failed.head.count == 9 + 4 + 512)
    let over = failed.head.prefix(9) + [1, 2, 0, 0] + [UInt8](repeating: 97, count: 513)
    #expect(throws: (any Error).self) { try WireMessage(.failed, head: over, content: []) }
  }

  @Test(
    "a class that is none is refused with its hello",
    arguments: ["", "\u{1B}[0m", "a\nb", "a\u{202E}b"])
  func numericClass(name: String) throws {
    #expect(!name.isNumericClass && String(repeating: "c", count: 1_024).isNumericClass)
    #expect(!String(repeating: "c", count: 1_025).isNumericClass)
    var conversation = Conversation(numericClass: name)
    conversation.run()
    #expect(conversation.coordinatorClosed.count == 1 && conversation.introduced.isEmpty)
  }
}
