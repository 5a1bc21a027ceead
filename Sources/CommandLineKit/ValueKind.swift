/// What a value may be; checked while the command line is read, before any work begins.
package indirect enum ValueKind: Sendable {
  /// There or not there; takes no value.
  case flag
  /// Any text, the empty one included.
  case text
  /// A path; not opened here, only refused when empty.
  case path
  case integer(ClosedRange<Int>)
  /// A number of bytes, as digits or as a multiple: `512M`, `2G`; steps of 1,024.
  case byteCount
  /// A finite decimal number.
  case number(ClosedRange<Double>)
  case choice([String])
  /// One word that means something of its own, or a value of another kind.
  case word(String, or: ValueKind)
  /// Values separated by commas; at least one, none empty, spaces around them ignored.
  case list(of: ValueKind)

  /// Any whole number.
  package static var integer: ValueKind { .integer(Int.min...Int.max) }
  /// Any finite number.
  package static var number: ValueKind {
    .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude)
  }

  package var takesValue: Bool {
    if case .flag = self { false } else { true }
  }

  var placeholder: String {
    switch self {
    case .flag: ""
    case .text: "TEXT"
    case .path: "PATH"
    case .integer: "N"
    case .byteCount: "BYTES"
    case .number: "X"
    case .choice(let choices): choices.joined(separator: "|")
    case .word(let word, let other): "\(word)|\(other.placeholder)"
    case .list(let element): "\(element.placeholder),..."
    }
  }

  /// The limits in words, for help; `nil` where there are none.
  var limits: String? {
    switch self {
    case .flag, .text, .path, .choice, .byteCount: nil
    case .integer(let range):
      switch (range.lowerBound == Int.min, range.upperBound == Int.max) {
      case (true, true): nil
      case (false, true): "at least \(range.lowerBound)"
      case (true, false): "at most \(range.upperBound)"
      case (false, false): "\(range.lowerBound) to \(range.upperBound)"
      }
    case .number(let range):
      switch (
        range.lowerBound == -Double.greatestFiniteMagnitude,
        range.upperBound == Double.greatestFiniteMagnitude
      ) {
      case (true, true): nil
      case (false, true): "at least \(plain(range.lowerBound))"
      case (true, false): "at most \(plain(range.upperBound))"
      case (false, false): "\(plain(range.lowerBound)) to \(plain(range.upperBound))"
      }
    case .word(_, let other): other.limits
    case .list(let element): element.limits
    }
  }

  /// Why `value` is refused, in words that follow "VALUE is"; `nil` when it is accepted.
  func problem(with value: String) -> String? {
    switch self {
    case .flag: return "not wanted: the option takes no value"
    case .text: return nil
    case .path: return value.isEmpty ? "empty, where a path is needed" : nil
    case .integer(let range):
      guard let number = Int(value) else { return "not a whole number" }
      return range.contains(number) ? nil : "out of range (\(limits ?? "any"))"
    case .byteCount:
      return bytes(value) == nil ? "no number of bytes, like 1048576, 512M or 2G" : nil
    case .number(let range):
      guard let number = Double(value), number.isFinite else { return "not a number" }
      return range.contains(number) ? nil : "out of range (\(limits ?? "any"))"
    case .choice(let choices):
      return choices.contains(value) ? nil : "none of \(choices.joined(separator: ", "))"
    case .word(let word, let other):
      if value == word { return nil }
      return other.problem(with: value).map { "neither \(word) nor a value: it is \($0)" }
    case .list(let element):
      for part in elements(of: value) {
        if part.isEmpty { return "a list with an empty place" }
        if let problem = element.problem(with: part) {
          return "a list whose \"\(part)\" is \(problem)"
        }
      }
      return nil
    }
  }
}

/// The parts of a comma-separated value, without the spaces around them.
func elements(of list: String) -> [String] {
  list.split(separator: ",", omittingEmptySubsequences: false).map { part in
    var part = part[...]
    while part.first == " " { part.removeFirst() }
    while part.last == " " { part.removeLast() }
    return String(part)
  }
}

/// What a number of bytes says; `nil` for anything else, and for what no machine has.
func bytes(_ text: String) -> Int? {
  let units: [Character: Int] = ["K": 10, "M": 20, "G": 30, "T": 40]
  let shift = text.last.flatMap { units[$0] }
  let digits = shift == nil ? text[...] : text.dropLast()
  guard digits.allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int(digits) else {
    return nil
  }
  let (product, isTooLarge) = number.multipliedReportingOverflow(by: 1 << (shift ?? 0))
  return isTooLarge ? nil : product
}

/// `1` rather than `1.0`, as people write it.
private func plain(_ number: Double) -> String {
  Int(exactly: number).map(String.init) ?? String(number)
}
