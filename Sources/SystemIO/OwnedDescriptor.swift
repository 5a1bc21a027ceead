import Glibc

/// A file descriptor with exactly one owner, closed when the owner goes.
package final class OwnedDescriptor: Sendable {
  package let number: CInt

  package init(_ number: CInt) {
    self.number = number
  }

  deinit { _ = Glibc.close(number) }

  /// Opens a file; retries where a signal interrupted the call.
  package static func open(_ path: String, _ flags: CInt, mode: mode_t = 0o600)
    throws(SystemCallError) -> OwnedDescriptor
  {
    while true {
      let number = Glibc.open(path, flags | O_CLOEXEC, mode)
      if number >= 0 { return OwnedDescriptor(number) }
      guard errno == EINTR else { throw SystemCallError("open", path) }
    }
  }

  /// Opens a file that exists, to write behind its end.
  package static func openForAppending(_ path: String) throws(SystemCallError) -> OwnedDescriptor {
    try open(path, O_WRONLY | O_APPEND)
  }

  /// Cuts the file off.
  package func truncate(to byteCount: Int, path: String) throws(SystemCallError) {
    guard ftruncate(number, off_t(byteCount)) == 0 else { throw SystemCallError("ftruncate", path) }
  }

  /// Writes every byte, however many calls it takes.
  package func write(_ bytes: [UInt8], path: String) throws(SystemCallError) {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(number, $0.baseAddress! + written, $0.count - written)
      }
      if count > 0 {
        written += count
      } else if errno != EINTR {
        throw SystemCallError("write", path)
      }
    }
  }

  /// Waits until what was written is on stable storage, as far as the device is honest.
  package func synchronize(path: String) throws(SystemCallError) {
    guard fdatasync(number) == 0 else { throw SystemCallError("fdatasync", path) }
  }
}
