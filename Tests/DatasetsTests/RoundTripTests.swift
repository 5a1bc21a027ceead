import Datasets
import Hashing
import Testing
import Unlearning

@Suite("Data set properties") struct RoundTripTests {
  /// Scalars that parsers get wrong, each for its own reason.
  static let nasty: [Unicode.Scalar] = [
    "\"", "\\", "/", ",", "\n", "\r", "\t", "\u{0}", "\u{1f}", "\u{7f}", "\u{80}", "\u{85}",
    "\u{2028}", "\u{2029}", "\u{301}", "e", "é", "{", "}", ":", "u", "0", " ", "\u{feff}",
    "\u{fffd}", "\u{ffff}", "\u{10ffff}", "😀", "\u{d7ff}", "\u{e000}", "中", "\u{200d}",
  ]

  static func text(_ random: inout SeededGenerator, from alphabet: [Unicode.Scalar]) -> String {
    var text = String.UnicodeScalarView()
    for _ in 0..<Int.random(in: 1...24, using: &random) {
      text.append(alphabet[Int(random.next() % UInt64(alphabet.count))])
    }
    return String(text)
  }

  static func record(_ random: inout SeededGenerator, _ number: Int) throws -> Record {
    let printable = nasty.filter { $0.properties.generalCategory != .control }
    let optional = { (random: inout SeededGenerator) in random.next() % 2 == 0 }
    return Record(
      id: try RecordID("\(number)" + text(&random, from: printable)),
      subject: optional(&random) ? try RecordID(text(&random, from: printable)) : nil,
      text: text(&random, from: nasty),
      textPair: optional(&random) ? text(&random, from: nasty) : nil,
      label: text(&random, from: nasty),
      deletionProbability: optional(&random) ? Double.random(in: 0...1, using: &random) : nil)
  }

  @Test("reads back exactly what it writes", arguments: UInt64(0)..<64)
  func roundTrip(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let records = try (0..<50).map { try Self.record(&random, $0) }
    let lines = records.map { jsonLine($0) }
    let found = try DatasetReader(labels: .classes(records.map(\.label))).read(
      Array(lines.joined()), .jsonLines)
    try #require(found.training == records)
    try #require(found.training.map(\.digest) == records.map(\.digest))
    for line in lines { try #require(line.filter { $0 == 0x0a || $0 == 0x0d }.count == 1) }
  }

  @Test("writes keys in one order and leaves absent values out")
  func canonical() throws {
    let full = Record(
      id: try RecordID("1"), subject: try RecordID("s"), text: "t\u{2028}", textPair: "p",
      label: "l", deletionProbability: 0.1)
    #expect(
      String(decoding: jsonLine(full, split: .test), as: UTF8.self)
        == #"{"id":"1","text":"t\u2028","text_pair":"p","label":"l","subject":"s","#
        + #""deletionProbability":0.1,"split":"test"}"# + "\n")
    let bare = Record(id: try RecordID("1"), text: "t", label: "l")
    #expect(
      String(decoding: jsonLine(bare), as: UTF8.self) == #"{"id":"1","text":"t","label":"l"}"#
        + "\n")
  }

  @Test("keeps the line limit even when every byte of both texts is escaped")
  func longest() throws {
    let text = String(repeating: "\u{1}", count: DatasetLimits.textByteCount)
    let record = Record(
      id: try RecordID(String(repeating: "\"", count: 256)),
      subject: try RecordID(String(repeating: "\\", count: 256)), text: text, textPair: text,
      label: String(repeating: "\u{2}", count: DatasetLimits.labelByteCount),
      deletionProbability: .leastNonzeroMagnitude)
    let found = try DatasetReader(labels: .any).read(jsonLine(record), .jsonLines)
    #expect(found.training == [record])
  }

  static let seeds: [(DatasetFormat, String)] = [
    (
      .jsonLines,
      #"{"id":"a","text":"x\u00e9\ud83d\ude00\n","label":"l","deletionProbability":0.5e-1}"# + "\n"
        + #"{"id":2,"text":"中","text_pair":"","label":"l","x":[{"y":null}],"split":"test"}"# + "\n"
    ),
    (
      .csv,
      "id,text,label,subject,deletionProbability\r\n1,\"a,\"\"b\r\n\",l,s,0.5\r\n2,é,l,,\n"
    ),
  ]

  @Test("cut anywhere, a file gives records or an error", arguments: seeds)
  func cut(format: DatasetFormat, text: String) {
    let bytes = Array(text.utf8)
    for end in bytes.indices {
      for skips in [false, true] {
        let reader = DatasetReader(labels: .classes(["l"]), skipsInvalid: skips)
        let contents = try? reader.read(Array(bytes[..<end]), format)
        #expect((contents?.training.count ?? 0) <= 2)
      }
    }
  }

  @Test("whatever the bytes, reading ends without a trap", arguments: UInt64(0)..<32)
  func mutations(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let alphabet = Array("\"\\,{}[]:u0e-+.\n\r\t tnfx".utf8) + [0x00, 0x80, 0xc2, 0xed, 0xf4, 0xff]
    for (format, text) in Self.seeds {
      for _ in 0..<400 {
        var bytes = Array(text.utf8)
        for _ in 0...random.next() % 8 {
          let at = Int(random.next() % UInt64(bytes.count))
          let byte = alphabet[Int(random.next() % UInt64(alphabet.count))]
          switch random.next() % 3 {
          case 0: bytes[at] = byte
          case 1: bytes.insert(byte, at: at)
          default: if bytes.count > 1 { bytes.remove(at: at) }
          }
        }
        let reader = DatasetReader(labels: .any, skipsInvalid: seed.isMultiple(of: 2))
        do {
          let contents = try reader.read(bytes, format)
          #expect(!contents.training.isEmpty || !contents.evaluation.isEmpty)
          #expect(contents.skipped.allSatisfy { !$0.sentence.isEmpty })
        } catch {
          #expect(error.sentences.allSatisfy { !$0.isEmpty })
        }
      }
    }
  }
}
