import HTTP
import Hashing
import WireFormat

extension CoordinatorService {
  /// What somebody with a token may ask for.
  private enum Access {
    /// Everything: the run's token and keys of operators.
    case everything
    /// What reveals no partition and changes nothing: keys of readers.
    case reading
  }

  /// Lets a request pass, or says why not.
  func authorize(_ request: HTTPRequest) throws(APIFailure) {
    switch access(request.headers["authorization"] ?? "") {
    case .everything: return
    case .reading:
      guard request.method == "GET", Self.readable.contains(request.segments) else {
        throw APIFailure(
          403, "a reader's key shows status, deletions, receipts and the ledger, nothing else",
          try: "use the run's token or an operator's key: lethe key new --role operator")
      }
    case nil:
      throw APIFailure(
        401, "the bearer token is missing or wrong",
        try: "it stands in the file token of the run's directory")
    }
  }

  /// Lineage and predictions are not here: they show how records are partitioned and what a model
  /// has learnt.
  private static let readable: Set<[String]> = [
    ["metrics"], ["v1", "status"], ["v1", "deletions"], ["v1", "receipts"],
    ["v1", "ledger", "checkpoint"],
    ["v1", "ledger", "proof"],
  ]

  private func access(_ header: String) -> Access? {
    let scheme = "Bearer "
    guard header.hasPrefix(scheme) else { return nil }
    let token = header.dropFirst(scheme.count)
    // In constant time: how much of a guess is right must not show.
    if HMAC.areEqual(Array(token.utf8), Array(directory.token.utf8)) { return .everything }
    switch directory.keys.find(bearer: token)?.role {
    case .operator: return .everything
    case .reader: return .reading
    case .worker, .serve, nil: return nil
    }
  }
}
