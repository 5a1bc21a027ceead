import Foundation
import HTTP
import Testing

/// What no client should send; ops/check-http.py sends the same to a living coordinator.
@Suite struct MalformedTests {
  struct Case: Decodable, CustomTestStringConvertible, Sendable {
    /// Text of Latin-1, repeated so often.
    struct Part: Decodable {
      var bytes: [UInt8]

      init(from decoder: any Decoder) throws {
        if var pair = try? decoder.unkeyedContainer() {
          let text = try pair.decode(String.self)
          let one = text.unicodeScalars.map { UInt8($0.value) }
          bytes = Array(repeatElement(one, count: try pair.decode(Int.self)).joined())
        } else {
          let text = try decoder.singleValueContainer().decode(String.self)
          bytes = text.unicodeScalars.map { UInt8($0.value) }
        }
      }
    }

    var name: String
    var status: Int
    var layer: String
    private var request: [Part]

    var bytes: [UInt8] { request.flatMap(\.bytes) }
    var testDescription: String { name }
  }

  static let cases: [Case] = {
    let vectors = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Protocols/vectors/http-malformed.json")
    return try! JSONDecoder().decode([Case].self, from: Data(contentsOf: vectors))
  }()

  @Test(
    "is refused with its status, however it is cut", arguments: cases.filter { $0.layer == "parse" }
  )
  func refused(malformed: Case) {
    for size in [1, 7, 1 << 13] {
      do {
        _ = try HTTPRequest(parsing: malformed.bytes, chunkByteCount: size)
        Issue.record("a request that none should take")
      } catch {
        #expect(error.status == malformed.status, "\(error.reason)")
      }
    }
  }

  @Test("there are enough of them")
  func enough() {
    #expect(Self.cases.count >= 60)
    #expect(Set(Self.cases.map(\.name)).count == Self.cases.count)
  }
}
