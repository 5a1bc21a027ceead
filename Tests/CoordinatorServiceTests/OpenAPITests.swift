import CoordinatorService
import Foundation
import Testing

/// Holds `Protocols/openapi.yaml` to the routes that answer; ops/check-openapi.py holds the answers
/// to what stands in it.
@Suite struct OpenAPITests {
  /// `METHOD path` of every operation in the document, which has one on each line of its own.
  private static func described() throws -> Set<String> {
    let root = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(
      contentsOf: root.appending(path: "Protocols/openapi.yaml"), encoding: .utf8)
    var operations: Set<String> = []
    var path: String?
    for line in text.split(separator: "\n") {
      if line.hasPrefix("  /"), line.hasSuffix(":") {
        path = String(line.dropFirst(2).dropLast())
      } else if !line.hasPrefix("   ") {
        path = nil
      } else if let path {
        for method in ["get", "post", "put", "patch", "delete"] where line == "    \(method):" {
          operations.insert("\(method.uppercased()) \(path)")
        }
      }
    }
    return operations
  }

  @Test("every route is described, and nothing else is")
  func complete() throws {
    let routes = CoordinatorService.routes.map { "\($0.method) \($0.path)" }
    #expect(Set(routes).count == routes.count)
    #expect(try Self.described() == Set(routes))
  }
}
