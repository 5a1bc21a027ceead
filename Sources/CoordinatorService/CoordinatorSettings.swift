import CoordinatorCore
import SystemIO
import Unlearning

/// What a coordinator's start takes from a run file besides the run itself.
package struct CoordinatorSettings {
  let webhooks: [Webhook]
  let deadline: DeadlinePolicy
  let aggregation: Aggregation
  let serving: ServingRule
  let auditShare: Double
  let maximumWorkers: Int
  let isInDevelopment: Bool
  let workers: NetworkAddress
  let http: NetworkAddress
  /// Where exports and backups may be written; `nil`: anywhere outside the run.
  let exportFolders: [AbsolutePath]?
  let backupFolders: [AbsolutePath]?
  /// In lower case.
  let httpNames: Set<String>

  /// Reads all of it, so that a mistake stops a start before it has created a run.
  ///
  /// - Parameter base: The folder that relative paths in the run file start from.
  /// - Throws: `ServiceError` or `RunFileError`
  package init(_ file: RunFile, base: String) throws {
    webhooks = try Webhook.all(file, base: base)
    deadline = try file.deadlinePolicy()
    aggregation = try file.aggregation()
    serving = file.coordinator.serving ?? .deepest
    auditShare = try file.auditShare()
    maximumWorkers = try file.maximumWorkers()
    isInDevelopment = file.coordinator.developmentMode ?? false
    exportFolders = try file.folders(
      file.coordinator.exportFolders, "coordinator.exportFolders", base: base)
    backupFolders = try file.folders(
      file.coordinator.backupFolders, "coordinator.backupFolders", base: base)
    workers = try Listening.address(
      "coordinator.workers", file.coordinator.workers,
      reach: isInDevelopment
        ? .loopback(
          because: "coordinator.developmentMode accepts a key that everybody knows: switch it off, "
            + "or listen on 127.0.0.1") : .anywhere)
    httpNames = try Self.names(file.coordinator.httpNames ?? [])
    http = try Listening.address(
      "coordinator.http", file.coordinator.http,
      reach: .loopback(
        because: "listen on 127.0.0.1, and let others in through a proxy that speaks TLS: tokens "
          + "must not cross a network in clear"))
  }

  private static func names(_ names: [String]) throws -> Set<String> {
    for name in names {
      guard (1...253).contains(name.utf8.count),
        name.utf8.allSatisfy({
          switch $0 {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
          default: false
          }
        })
      else {
        throw RunFileError(
          "coordinator.httpNames holds what is not a host name",
          try: "write names alone, without scheme and port: [\"lethe.example.org\"]")
      }
    }
    return Set(names.map { $0.lowercased() })
  }
}
