import Unlearning

/// Writes a record as one line of JSON, line feed included, that `DatasetReader` reads back
/// exactly.
///
/// One record has one line: keys in the order of the fields, no space, absent values left out, and
/// only those characters escaped that JSON forbids or that some tools take for line ends.
package func jsonLine(_ record: Record, split: DatasetSplit = .train) -> [UInt8] {
  var line: [UInt8] = []
  appendJSONLine(record, split: split, to: &line)
  return line
}

/// The same, after what is there already.
package func appendJSONLine(
  _ record: Record, split: DatasetSplit = .train, to line: inout [UInt8]
) {
  line.append(contentsOf: "{\"id\":".utf8)
  appendString(record.id.bytes, to: &line)
  append(.text, Array(record.text.utf8), to: &line)
  if let pair = record.textPair { append(.textPair, Array(pair.utf8), to: &line) }
  append(.label, Array(record.label.utf8), to: &line)
  if let subject = record.subject { append(.subject, subject.bytes, to: &line) }
  if let probability = record.deletionProbability {
    // The library writes the shortest digits that read back as the same number.
    line.append(contentsOf: ",\"\(DatasetField.deletionProbability.rawValue)\":\(probability)".utf8)
  }
  if split != .train { append(.split, Array(split.rawValue.utf8), to: &line) }
  line.append(contentsOf: "}\n".utf8)
}

private func append(_ field: DatasetField, _ value: [UInt8], to line: inout [UInt8]) {
  line.append(contentsOf: ",\"\(field.rawValue)\":".utf8)
  appendString(value, to: &line)
}

private func appendString(_ text: [UInt8], to line: inout [UInt8]) {
  line.append(UInt8(ascii: "\""))
  var index = 0
  while index < text.count {
    let byte = text[index]
    if byte >= 0x20, byte < 0x7f, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
      line.append(byte)
    } else if let scalar = lineSeparator(text, at: index) {
      appendEscape(scalar, to: &line)
      index += scalar == 0x85 ? 1 : 2
    } else {
      appendEscaped(byte, to: &line)
    }
    index += 1
  }
  line.append(UInt8(ascii: "\""))
}

/// U+0085, U+2028 or U+2029, which JSON allows and line readers of other languages cut at.
private func lineSeparator(_ text: [UInt8], at index: Int) -> UInt32? {
  switch text[index] {
  case 0xc2 where index + 1 < text.count && text[index + 1] == 0x85: return 0x85
  case 0xe2 where index + 2 < text.count && text[index + 1] == 0x80:
    switch text[index + 2] {
    case 0xa8: return 0x2028
    case 0xa9: return 0x2029
    default: return nil
    }
  default: return nil
  }
}

private func appendEscaped(_ byte: UInt8, to line: inout [UInt8]) {
  switch byte {
  case UInt8(ascii: "\""), UInt8(ascii: "\\"): line += [UInt8(ascii: "\\"), byte]
  case 0x08: line += Array("\\b".utf8)
  case 0x09: line += Array("\\t".utf8)
  case 0x0a: line += Array("\\n".utf8)
  case 0x0c: line += Array("\\f".utf8)
  case 0x0d: line += Array("\\r".utf8)
  case ..<0x20, 0x7f: appendEscape(UInt32(byte), to: &line)
  default: line.append(byte)
  }
}

/// `\u` and four lower-case digits.
private func appendEscape(_ scalar: UInt32, to line: inout [UInt8]) {
  let digits = Array("0123456789abcdef".utf8)
  line += Array("\\u".utf8)
  for shift in [UInt32(12), 8, 4, 0] { line.append(digits[Int(scalar >> shift & 15)]) }
}
