import Glibc

/// A refusal by the kernel.
package struct SystemCallError: Error, Equatable, Sendable, CustomStringConvertible {
  package let call: String
  package let subject: String
  package let code: CInt

  package init(_ call: String, _ subject: String, code: CInt = errno) {
    self.call = call
    self.subject = subject
    self.code = code
  }

  package var description: String { "\(call) \(subject): \(String(cString: strerror(code)))" }

  package var isNotFound: Bool { code == ENOENT }
  package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
  /// Not for this process's user.
  package var isDenied: Bool { code == EACCES || code == EPERM }
  /// A link stands where a folder or file must.
  package var isLink: Bool { code == ELOOP }
  package var isNoFolder: Bool { code == ENOTDIR }
  package var isThere: Bool { code == EEXIST }
  package var isReadOnly: Bool { code == EROFS }
  /// What happened, without the call and the path.
  package var reason: String { String(cString: strerror(code)) }
  /// A socket's own limit on waiting has passed.
  package var isTimeout: Bool { code == EAGAIN || code == EWOULDBLOCK }
  /// Nobody listens there.
  package var isRefused: Bool { code == ECONNREFUSED }
  package var isAddressInUse: Bool { code == EADDRINUSE }
}
