import ByteCoding
import Foundation
import Hashing
import Testing

@Suite("Canonical encoding") struct CanonicalCodingTests {
  /// A value with one of everything the grammar has.
  struct Everything: Equatable {
    var flag: Bool
    var small: UInt8
    var medium: UInt16
    var large: UInt64
    var real: Double
    var text: String
    var blob: [UInt8]
    var list: [UInt32]
    var maybe: String?
    var fixed: [UInt8]

    static let fixedByteCount = 4

    var encoding: [UInt8] {
      var writer = CanonicalWriter()
      writer.write(flag)
      writer.write(small)
      writer.write(medium)
      writer.write(large)
      writer.write(real)
      writer.write(text)
      writer.write(blob)
      writer.write(list) { $0.write($1) }
      writer.write(maybe) { $0.write($1) }
      writer.writeRaw(fixed)
      return writer.bytes
    }

    init(decoding bytes: [UInt8]) throws(DecodingFailure) {
      var reader = CanonicalReader(bytes)
      flag = try reader.readBool()
      small = try reader.readInteger()
      medium = try reader.readInteger()
      large = try reader.readInteger()
      real = try reader.readDouble()
      text = try reader.readString(limit: 1000)
      blob = try reader.readBytes(limit: 1000)
      list = try reader.readArray { (reader) throws(DecodingFailure) in try reader.readInteger() }
      maybe = try reader.readOptional { (reader) throws(DecodingFailure) in try reader.readString()
      }
      fixed = Array(try reader.readRaw(byteCount: Self.fixedByteCount))
      try reader.finish()
    }

    init(random: inout SeededGenerator) {
      func bytes(_ random: inout SeededGenerator) -> [UInt8] {
        (0..<random.next() % 20).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      }
      flag = random.next() % 2 == 0
      small = UInt8(truncatingIfNeeded: random.next())
      medium = UInt16(truncatingIfNeeded: random.next())
      large = random.next()
      real = Double(bitPattern: random.next() & 0x7fef_ffff_ffff_ffff)
      text = String(decoding: bytes(&random), as: UTF8.self)
      blob = bytes(&random)
      list = bytes(&random).map { UInt32($0) &* 0x0101_0101 }
      maybe = random.next() % 2 == 0 ? nil : String(decoding: bytes(&random), as: UTF8.self)
      fixed = (0..<Self.fixedByteCount).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
  }

  @Test("reads back what it writes, and one value has one encoding", arguments: UInt64(0)..<64)
  func roundTrip(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<20 {
      let value = Everything(random: &random)
      let found = try Everything(decoding: value.encoding)
      try #require(found == value)
      try #require(found.encoding == value.encoding)
    }
  }

  @Test("tells at every byte that the rest is missing", arguments: UInt64(0)..<16)
  func truncated(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let bytes = Everything(random: &random).encoding
    for end in bytes.indices {
      do {
        _ = try Everything(decoding: Array(bytes[..<end]))
        Issue.record("\(end) of \(bytes.count) bytes were enough")
      } catch {
        // A count is also held against the bytes that are left.
        switch error {
        case .truncated(let at): try #require(at <= end)
        case .invalid(let what, _): try #require(what == "count")
        case .trailing: Issue.record("nothing trails")
        }
      }
    }
    #expect(throws: DecodingFailure.trailing(byteCount: 1)) {
      try Everything(decoding: bytes + [0])
    }
  }

  @Test("never traps, and what it accepts is canonical", arguments: UInt64(0)..<32)
  func mutations(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      var bytes = Everything(random: &random).encoding
      for _ in 0...random.next() % 3 {
        let at = Int(random.next() % UInt64(bytes.count))
        bytes[at] = random.next() % 2 == 0 ? 0xff : UInt8(truncatingIfNeeded: random.next())
      }
      if let value = try? Everything(decoding: bytes) { #expect(value.encoding == bytes) }
    }
  }

  @Test("refuses counts that cannot be honest before it spends memory on them")
  func hostileCounts() {
    let count: [UInt8] = [0xff, 0xff, 0xff, 0xff]
    var reader = CanonicalReader(count + [1, 2, 3])
    #expect(throws: DecodingFailure.truncated(atByte: 4)) { try reader.readBytes() }
    reader = CanonicalReader(count + [1, 2, 3])
    #expect(throws: DecodingFailure.invalid(what: "length", atByte: 0)) {
      try reader.readBytes(limit: 1000)
    }
    reader = CanonicalReader(count + [1, 2, 3])
    #expect(throws: DecodingFailure.invalid(what: "count", atByte: 0)) {
      try reader.readArray { (reader) throws(DecodingFailure) in
        try reader.readInteger(UInt8.self)
      }
    }
    reader = CanonicalReader([1, 2, 3])
    #expect(throws: DecodingFailure.truncated(atByte: 0)) { try reader.readRaw(byteCount: -1) }
    #expect(throws: DecodingFailure.truncated(atByte: 0)) { try reader.readRaw(byteCount: .max) }
  }

  @Test("takes only 0 and 1 for truth, and only UTF-8 for text")
  func strict() {
    for byte in UInt8(2)...255 {
      var reader = CanonicalReader([byte])
      #expect(throws: DecodingFailure.invalid(what: "boolean", atByte: 0)) {
        try reader.readBool()
      }
    }
    var reader = CanonicalReader([2, 0, 0, 0, 0xc3, 0x28])
    #expect(throws: DecodingFailure.invalid(what: "UTF-8", atByte: 0)) { try reader.readString() }
  }

  @Test("counts offsets from the start of a slice")
  func slices() {
    var reader = CanonicalReader([9, 9, 9, 1, 2][3...])
    #expect(throws: DecodingFailure.truncated(atByte: 0)) { try reader.readInteger(UInt32.self) }
  }

  @Test("gives the bytes of the worked example in Protocols/encoding.md")
  func workedExample() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Protocols/encoding.md")
    let page = try String(contentsOf: file, encoding: .utf8)
    // Every row of the example's table: | `bytes` | meaning |
    let bytes = page.split(separator: "\n").filter { $0.hasPrefix("| `x ") }.flatMap { row in
      row.split(separator: "`")[1].dropFirst(2).split(separator: " ")
    }
    var example = try #require(Array(hex: bytes.joined()))
    var writer = CanonicalWriter()
    writer.write(UInt8(7))
    writer.write(UInt16(513))
    writer.write(UInt64(1) << 40)
    writer.write(0.5)
    writer.write("né")
    writer.write([UInt8(0xde), 0xad])
    writer.write([UInt32(1), 2]) { $0.write($1) }
    writer.write(nil as String?) { $0.write($1) }
    writer.write("a" as String?) { $0.write($1) }
    writer.write(true)
    writer.writeRaw([1, 2, 3])
    #expect(writer.bytes == example)
    example[example.count - 1] ^= 1
    #expect(writer.bytes != example)
  }
}
