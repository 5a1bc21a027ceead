import HTTP
import Hashing
import WireFormat

extension CoordinatorService {
  /// What whoever sends this may ask for.
  func access(_ request: HTTPRequest) -> Route.Access {
    let scheme = "bearer "
    guard let header = request.headers["authorization"],
      header.prefix(scheme.count).lowercased() == scheme
    else { return .anybody }
    let token = header.dropFirst(scheme.count)
    // In constant time: how much of a guess is right must not show.
    if HMAC.areEqual(Array(token.utf8), Array(directory.token.utf8)) { return .everything }
    switch directory.keys.find(bearer: token)?.role {
    case .operator: return .everything
    case .reader: return .reader
    case .worker, .serve, nil: return .anybody
    }
  }
}
