import Foundation
import HTTP
import Hashing

extension CoordinatorService {
  /// `GET /`: the same page for everybody. What it shows it asks for itself, with the token of
  /// whoever looks at it.
  static let dashboard: HTTPResponse = {
    let page = PackageResources.page_html
    let text = String(decoding: page, as: UTF8.self)
    // Only the page's own script may run, and it may speak to nobody but the coordinator.
    let script = text.components(separatedBy: "<script>")[1].components(separatedBy: "</script>")[0]
    let digest = Data(SHA256.hash(Array(script.utf8)).bytes).base64EncodedString()
    return HTTPResponse(
      status: 200, contentType: "text/html; charset=utf-8", body: page,
      headers: [
        "Content-Security-Policy":
          "default-src 'none'; script-src 'sha256-\(digest)'; style-src 'unsafe-inline'; "
          + "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
          + "frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
      ])
  }()
}
