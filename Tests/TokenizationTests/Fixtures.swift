import Foundation

/// Bytes of a file under `Tests/Fixtures`; `nil` if it is not there.
func fixtureBytes(_ name: String) -> [UInt8]? {
  let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  return (try? Data(contentsOf: folder.appending(path: "Fixtures/\(name)"))).map { Array($0) }
}

/// Lines of a text file under `Tests/Fixtures`, cut at line feeds only.
func fixtureLines(_ name: String) -> [String] {
  (fixtureBytes(name) ?? []).split(separator: UInt8(ascii: "\n")).map {
    String(decoding: $0, as: UTF8.self)
  }
}
