/// The body of every refusal, as `application/problem+json` (RFC 9457).
package struct Problem: Codable, Sendable {
  package static let contentType = "application/problem+json"

  /// `about:blank`: the status says what kind of problem it is.
  package var type = "about:blank"
  package var title: String
  package var status: Int
  /// What happened.
  package var detail: String
  /// What to do about it.
  package var hint: String?

  package init(title: String, status: Int, detail: String, hint: String? = nil) {
    self.title = title
    self.status = status
    self.detail = detail
    self.hint = hint
  }
}
