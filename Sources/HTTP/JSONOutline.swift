import Foundation

/// The names in a JSON text, and a bound on how much it holds, found in one pass that builds
/// nothing.
///
/// A parser spends some sixty bytes on `[]`: twenty megabytes of them become a gigabyte. So a body
/// is looked at this way before one sees it. What is not JSON gets through, for the parser to
/// refuse, but no deeper and no fuller than the limits.
package struct JSONOutline: Sendable {
  /// Why a text is refused.
  package enum Problem: Error, Equatable, Sendable {
    case tooDeep
    case tooMany
    /// Two parsers may take different ones of two values.
    case nameTwice(String)
  }

  /// Objects and arrays inside each other.
  package static let depthLimit = 16
  /// Objects and arrays in all.
  package static let containerLimit = 100_000
  /// Values in all.
  package static let valueLimit = 400_000

  /// The paths of names whose value is not null, without places in arrays.
  package private(set) var paths: Set<[String]> = []

  private struct Container {
    let isObject: Bool
    let path: [String]
    var names: Set<String> = []
    /// The name that the next value belongs to.
    var name: String?
    var isNameNext: Bool
  }

  private var open: [Container] = []
  private var containerCount = 0
  private var valueCount = 0

  package init(_ bytes: [UInt8]) throws(Problem) {
    var place = 0
    while place < bytes.count {
      let byte = bytes[place]
      place += 1
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        try begin(isObject: byte == UInt8(ascii: "{"))
      case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = open.popLast()
      case UInt8(ascii: ","):
        if let last = open.indices.last, open[last].isObject { open[last].isNameNext = true }
      case UInt8(ascii: "\""):
        let end = Self.end(ofStringIn: bytes, from: place)
        try take(string: bytes[(place - 1)..<end])
        place = end
      case UInt8(ascii: ":"), 0x20, 0x09, 0x0a, 0x0d: break
      default:
        let start = place - 1
        while place < bytes.count, !Self.delimiters.contains(bytes[place]) { place += 1 }
        try value(isNull: bytes[start..<place].elementsEqual("null".utf8))
      }
    }
  }

  private static let delimiters = Set(Array("{}[],:\" \t\r\n".utf8))

  /// Past the closing quote.
  private static func end(ofStringIn bytes: [UInt8], from start: Int) -> Int {
    var place = start
    while place < bytes.count {
      switch bytes[place] {
      case UInt8(ascii: "\""): return place + 1
      case UInt8(ascii: "\\"): place += 2
      default: place += 1
      }
    }
    return bytes.count
  }

  private mutating func begin(isObject: Bool) throws(Problem) {
    let path = try value(isNull: false)
    containerCount += 1
    guard containerCount <= Self.containerLimit else { throw .tooMany }
    guard open.count < Self.depthLimit else { throw .tooDeep }
    open.append(Container(isObject: isObject, path: path, isNameNext: isObject))
  }

  private mutating func take(string: ArraySlice<UInt8>) throws(Problem) {
    guard let last = open.indices.last, open[last].isNameNext else {
      try value(isNull: false)
      return
    }
    let name = Self.name(string)
    guard open[last].names.insert(name).inserted else { throw .nameTwice(name) }
    open[last].name = name
    open[last].isNameNext = false
  }

  /// Counts a value, and gives the path that it stands at.
  @discardableResult
  private mutating func value(isNull: Bool) throws(Problem) -> [String] {
    valueCount += 1
    guard valueCount <= Self.valueLimit else { throw .tooMany }
    guard let container = open.last else { return [] }
    guard container.isObject, let name = container.name else { return container.path }
    let path = container.path + [name]
    if !isNull { paths.insert(path) }
    return path
  }

  private static func name(_ quoted: ArraySlice<UInt8>) -> String {
    if quoted.contains(UInt8(ascii: "\\")),
      let name = try? JSONDecoder().decode(String.self, from: Data(quoted))
    {
      return name
    }
    return String(decoding: quoted.dropFirst().dropLast(), as: UTF8.self)
  }
}
