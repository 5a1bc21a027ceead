import Foundation
import ServiceSupport
import SystemIO

/// Where a running coordinator listens; written into its directory for tools on the same machine.
package struct Endpoint: Codable, Sendable {
  package var workers: String
  package var http: String
  package var processIdentifier: Int32

  private static let name = "endpoint.json"

  func write(to directory: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    try FileSystem.replace("\(directory)/\(Self.name)", with: Array(try encoder.encode(self)))
  }

  /// Reads it; `nil` where no coordinator has ever run.
  package static func read(from directory: String) throws -> Endpoint? {
    let path = "\(directory)/\(name)"
    guard FileSystem.exists(path) else { return nil }
    return try JSONDecoder().decode(Endpoint.self, from: Data(try FileSystem.read(path)))
  }
}
