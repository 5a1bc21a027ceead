/// A path from the root that somebody else has named, in a form that can be opened name by name.
package struct AbsolutePath: Hashable, Sendable {
  package enum Problem: Error, CaseIterable, Sendable {
    case relative, root, dots, controlCharacter, nameTooLong, tooLong
  }

  /// From the root down; at least one.
  package let names: [String]

  package static let byteLimit = 4096
  package static let nameByteLimit = 255

  package init(_ text: String) throws(Problem) {
    guard text.utf8.first == UInt8(ascii: "/") else { throw .relative }
    guard text.utf8.count <= Self.byteLimit else { throw .tooLong }
    // A zero byte would end the path for the kernel, and name another file than people read.
    guard !text.unicodeScalars.contains(where: Self.isControl) else { throw .controlCharacter }
    // Bytes, not characters: a mark that follows a slash would hide it.
    names = text.utf8.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
    guard !names.isEmpty else { throw .root }
    guard !names.contains("."), !names.contains("..") else { throw .dots }
    guard names.allSatisfy({ $0.utf8.count <= Self.nameByteLimit }) else { throw .nameTooLong }
  }

  private init(names: [String]) {
    self.names = names
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }

  package var text: String { "/" + names.joined(separator: "/") }

  package var lastName: String { names[names.count - 1] }

  /// The folder it lies in; `nil` for one that lies in the root.
  package var parent: AbsolutePath? {
    names.count > 1 ? AbsolutePath(names: names.dropLast()) : nil
  }

  /// Whether it lies below a folder, at any depth.
  package func isBelow(_ folder: AbsolutePath) -> Bool {
    names.count > folder.names.count && Array(names.prefix(folder.names.count)) == folder.names
  }
}

extension AbsolutePath.Problem {
  /// What is wrong, to stand behind "the path".
  package var words: String {
    switch self {
    case .relative: "does not begin with /"
    case .root: "is the root itself"
    case .dots: "has . or .. among its names"
    case .controlCharacter: "holds a control character"
    case .nameTooLong: "has a name of more than \(AbsolutePath.nameByteLimit) bytes"
    case .tooLong: "has more than \(AbsolutePath.byteLimit) bytes"
    }
  }
}
