import HTTP
import Hashing
import WireFormat

extension CoordinatorService {
  /// Who sends this; `nil` for whoever shows no token that is good for anything here.
  func caller(_ request: HTTPRequest) -> Route.Caller? {
    let scheme = "bearer "
    guard let header = request.headers["authorization"],
      header.prefix(scheme.count).lowercased() == scheme
    else { return nil }
    let token = header.dropFirst(scheme.count)
    // In constant time: how much of a guess is right must not show.
    if HMAC.areEqual(Array(token.utf8), Array(directory.token.utf8)) {
      return Route.Caller(name: "token", role: .operator)
    }
    guard let key = directory.keys.find(bearer: token) else { return nil }
    switch key.role {
    case .operator, .reader, .predictor, .auditor, .deleter:
      return Route.Caller(name: key.name, role: key.role)
    case .worker, .serve: return nil
    }
  }

  func may(_ request: HTTPRequest, _ access: Route.Access) -> Bool {
    caller(request)?.may(access) ?? false
  }
}
