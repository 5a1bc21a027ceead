import SystemIO

/// A failure for people: what happened, and what to do about it.
package struct ServiceError: Error, Sendable {
  package enum Kind: Sendable {
    case failure, usage, badData, missingInput, unavailable, cannotWrite, tryLater, configuration
  }

  package var kind: Kind
  package var message: String
  package var hint: String?

  package init(_ kind: Kind, _ message: String, try hint: String? = nil) {
    self.kind = kind
    self.message = message
    self.hint = hint
  }

  /// Tells a failed system call, singling out the one that people can mend at once.
  package init(_ error: SystemCallError, while doing: String) {
    self.init(
      error.isDiskFull ? .cannotWrite : error.isNotFound ? .missingInput : .failure,
      "\(doing): \(error)",
      try: error.isDiskFull
        ? "free space and start again; nothing that was acknowledged is lost"
        : error.isDenied ? "give it to the user that this process runs as" : nil)
  }
}
