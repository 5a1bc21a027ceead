import Hashing
import Ledger

/// What a receiver knows events by: `whsec_` and the base64 of 16 to 64 bytes, as in Standard
/// Webhooks, which advises 24 or more.
package struct WebhookSecret: Sendable {
  private let key: [UInt8]

  private static let prefix = "whsec_"
  private static let byteCounts = 16...64

  /// - Returns: `nil` for a text that is no secret.
  package init?(_ text: some StringProtocol) {
    guard text.hasPrefix(Self.prefix),
      let key = Base64.decode(String(text.dropFirst(Self.prefix.count))),
      Self.byteCounts.contains(key.count)
    else { return nil }
    self.key = key
  }

  /// The value of `webhook-signature`.
  ///
  /// - Parameter seconds: Of the attempt, since 1970; what `webhook-timestamp` says.
  package func signature(id: String, seconds: Int64, body: [UInt8]) -> String {
    let signed = Array("\(id).\(seconds).".utf8) + body
    return "v1," + Base64.encode(HMAC.authenticate(key: key, signed).bytes)
  }
}
