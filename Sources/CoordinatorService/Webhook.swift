import CoordinatorCore
import Foundation
import Hashing
import ModelFormats
import ServiceSupport
import SystemIO
import Unlearning

/// A receiver of events, ready to be told.
struct Webhook: Sendable {
  let address: NetworkAddress
  /// Path and query, as the receiver gets them.
  let target: String
  let secret: WebhookSecret
  let kinds: Set<Notice.Kind>
  /// Where what it has been told is kept; no two receivers have one name.
  let cursorName: String

  static let folderName = "webhooks"
  private static let maximumCount = 16
  private static let nameLength = 16

  /// Whether a file of the folder is what it should be, whole or being replaced.
  static func isCursor(_ name: String) -> Bool {
    let stem =
      name.hasSuffix(FileSystem.temporarySuffix)
      ? name.dropLast(FileSystem.temporarySuffix.count) : name[...]
    return stem.count == nameLength && stem.allSatisfy(\.isHexDigit)
  }

  /// The receivers that a run file names.
  static func all(_ file: RunFile, base: String) throws -> [Webhook] {
    let entries = file.webhooks ?? []
    guard entries.count <= maximumCount else {
      throw configuration(
        "webhooks names more than \(maximumCount) receivers", try: "take some out")
    }
    let found = try entries.map { try Webhook($0, base: base) }
    guard Set(found.map(\.cursorName)).count == found.count else {
      throw configuration("webhooks names a url twice", try: "put its events into one entry")
    }
    return found
  }

  private static func configuration(_ message: String, try hint: String) -> ServiceError {
    ServiceError(.configuration, message, try: hint)
  }

  init(_ entry: RunFile.Webhook, base: String) throws {
    let url = entry.url
    guard !url.hasPrefix("https://") else {
      throw Self.configuration(
        "webhooks: \(url) wants TLS, which the coordinator does not speak",
        try: "send to a proxy on 127.0.0.1 that does: see Protocols/webhooks.md")
    }
    let scheme = "http://"
    let rest = url.dropFirst(scheme.count)
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    let authority = rest[..<slash]
    let isVisible = url.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    guard url.hasPrefix(scheme), isVisible, !url.contains("#"), !authority.contains("@"),
      let address = NetworkAddress(authority.contains(":") ? String(authority) : "\(authority):80")
    else {
      throw Self.configuration(
        "webhooks: \"\(url)\" is no url to send to", try: "write http://127.0.0.1:8080/events")
    }
    guard address.isLoopback || entry.allowPlainHttp == true else {
      throw Self.configuration(
        "webhooks: \(url) would cross a network in clear",
        try: "send to a proxy on 127.0.0.1 that speaks TLS (Protocols/webhooks.md), or accept it "
          + "with allowPlainHttp: true")
    }
    self.address = address
    target = slash == rest.endIndex ? "/" : String(rest[slash...])
    cursorName = String(SHA256.hash(Array(url.utf8)).hex.prefix(Self.nameLength))
    kinds = Set(
      try (entry.events ?? Notice.Kind.allCases.map(\.rawValue)).map { name in
        guard let kind = Notice.Kind(rawValue: name) else {
          throw Self.configuration(
            "webhooks: there is no event \"\(name)\"",
            try: "use \(Notice.Kind.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return kind
      })
    secret = try Self.secret(resolve(entry.secretFile, base: base))
  }

  private static func recipe(_ path: String) -> String {
    "make one: echo whsec_$(openssl rand -base64 32) > \(path); chmod 600 \(path)"
  }

  private static func secret(_ path: String) throws -> WebhookSecret {
    guard FileSystem.exists(path) else {
      throw configuration("webhooks: there is no secret file \(path)", try: recipe(path))
    }
    guard try FileSystem.isPrivate(path) else {
      throw configuration(
        "\(path) holds a secret, and others than its owner may read it", try: "chmod 600 \(path)")
    }
    let text = String(decoding: try FileSystem.read(path), as: UTF8.self)
    guard let secret = WebhookSecret(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
      throw configuration("\(path) does not hold a webhook's secret", try: recipe(path))
    }
    return secret
  }
}

/// A notice as a receiver gets it; the same bytes at every attempt.
struct WebhookEvent: Sendable {
  let id: String
  let kind: Notice.Kind
  let body: [UInt8]

  init(_ notice: Notice, _ run: RunDescription) {
    id = "msg_" + notice.identity(partitionKey: run.partitionKey).hex.prefix(32)
    kind = notice.kind
    var data: [(name: String, value: JSON)] = [("run", .string(run.name))]
    func add(_ name: String, _ number: Int) { data.append((name, .number("\(number)"))) }
    func add(_ name: String, _ time: Milliseconds?) {
      if let time { data.append((name, .string(Timestamp.text(time)))) }
    }
    switch notice.subject {
    case .deletion(let deletion):
      add("deletion", Int(deletion.number))
      add("records", deletion.tags.count)
      add("blocksMasked", deletion.masked.count)
      data.append(("state", .string(notice.kind.state)))
      add("acknowledgedAt", deletion.acceptedAt)
      add("due", deletion.due)
    case .run(let blocks, let records):
      add("blocks", blocks)
      add("records", records)
    case .alarm(let name, let about):
      data.append(("alarm", .string(name)))
      if let about { data.append(("block", .string(about))) }
    }
    body =
      JSON.object([
        ("type", .string(kind.rawValue)), ("timestamp", .string(Timestamp.text(notice.at))),
        ("data", .object(data)),
      ]).compactBytes
  }
}

extension Notice.Kind {
  /// What a deletion had come to when this was told of it.
  fileprivate var state: String {
    switch self {
    case .deletionAcknowledged: "masked"
    case .deletionPurged: "purged"
    case .deletionRepaired: "repaired"
    case .deletionCertified: "certified"
    case .deletionOverdue: "overdue"
    case .runTrained, .alarmRaised: ""
    }
  }
}
