import Foundation
import Receipts
import Testing

/// The files under `Protocols/vectors`, which the pages there and other implementations go by.
@Suite("Vectors") struct VectorTests {
  @Test("are what this build makes, byte for byte")
  func vectors() throws {
    for (name, bytes) in try Example().vectors() {
      let file = Example.repository.appending(path: "Protocols/vectors/\(name)")
      if ProcessInfo.processInfo.environment["LETHE_RECORD_VECTORS"] == "1" {
        try Data(bytes).write(to: file)
      }
      #expect(try Example.vector(name) == bytes, "\(name)")
    }
  }
}
