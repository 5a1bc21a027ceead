import HTTP
import SystemIO

extension CoordinatorService {
  /// Refuses a request that was meant for somebody else.
  ///
  /// A page of another site can make its own name lead to 127.0.0.1 (DNS rebinding), and then its
  /// scripts reach this port as their own site. The browser still says the site's name in `Host`.
  /// An address cannot be rebound, so any is taken: a tunnel or a probe says that of its own end.
  func checkHost(_ request: HTTPRequest) throws(APIFailure) {
    guard let host = request.headers["host"], !Self.isOurs(host, names: hostNames) else { return }
    throw APIFailure(
      421, "this coordinator has another name than the request is for",
      try: "use its address, or add the name to coordinator.httpNames in the run file")
  }

  /// - Parameter names: In lower case.
  static func isOurs(_ host: String, names: Set<String>) -> Bool {
    var name = host.lowercased()[...]
    if name.hasPrefix("[") {
      guard let end = name.firstIndex(of: "]") else { return false }
      let rest = name[name.index(after: end)...]
      guard rest.isEmpty || rest.first == ":" && rest.dropFirst().allSatisfy(\.isNumber) else {
        return false
      }
      return NetworkAddress.isLiteral(String(name[..<end].dropFirst()))
    }
    if let colon = name.firstIndex(of: ":") {
      guard name[name.index(after: colon)...].isDigits else { return false }
      name = name[..<colon]
    }
    return name == "localhost" || names.contains(String(name))
      || NetworkAddress.isLiteral(String(name))
  }
}
