extension RunFile {
  /// Somebody who is told of changes of state; see `Protocols/webhooks.md`.
  package struct Webhook: Codable, Sendable {
    package var url: String
    /// Holds `whsec_` and base64, readable by its owner alone.
    package var secretFile: String
    /// Default: all there are.
    package var events: [String]?
    /// Send in clear across a network.
    package var allowPlainHttp: Bool?
  }
}
