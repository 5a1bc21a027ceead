import Glibc

/// Where bytes for people or other programs go.
package protocol OutputSink: Sendable {
  /// Hands over all of `bytes` before it returns, or throws.
  func write(_ bytes: [UInt8]) throws(OutputError)
}

package enum OutputError: Error, Equatable, Sendable {
  /// The program reading our output has gone, as `head` does; end quietly.
  case readerLeft
  /// The kernel refused, for instance because the disk is full.
  case refused(errno: CInt)

  package var userFacing: UserFacingError {
    switch self {
    case .readerLeft:
      UserFacingError("the reader of the output has gone", exitCode: .cannotWrite)
    case .refused(let number):
      UserFacingError(
        String(cString: strerror(number)), at: "standard output",
        try: "free some space, or send the output elsewhere", exitCode: .cannotWrite)
    }
  }
}

/// A file descriptor written to directly: nothing is held back, so nothing is lost in a crash.
///
/// The process must ignore SIGPIPE, or a reader that leaves ends it before the error is seen.
package struct DescriptorSink: OutputSink {
  package static let standardOutput = DescriptorSink(descriptor: 1)
  package static let standardError = DescriptorSink(descriptor: 2)

  private let descriptor: CInt

  package init(descriptor: CInt) { self.descriptor = descriptor }

  package func write(_ bytes: [UInt8]) throws(OutputError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let (count, number) = rest.withUnsafeBytes { chunk in
        let count = Glibc.write(descriptor, chunk.baseAddress, chunk.count)
        return (count, errno)
      }
      if count >= 0 {
        rest = rest.dropFirst(count)
        continue
      }
      switch number {
      case EINTR: continue
      case EAGAIN: waitUntilWritable()
      case EPIPE: throw .readerLeft
      default: throw .refused(errno: number)
      }
    }
  }

  /// A terminal shared with a program that made it non-blocking still gets every byte.
  private func waitUntilWritable() {
    var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    _ = poll(&request, 1, 1_000)
  }
}
