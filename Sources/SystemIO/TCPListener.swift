import Glibc

/// A socket that peers connect to.
package final class TCPListener: Sendable {
  private let socket: OwnedDescriptor
  /// Given up for a moment where the process has no descriptor left, so that a peer can be let in
  /// and turned away instead of waiting in the queue for ever.
  private let spare = Guarded<OwnedDescriptor?>(nil)
  /// Where it really listens; the port is the kernel's choice if 0 was asked for.
  package let address: NetworkAddress

  package init(_ wanted: NetworkAddress) throws(SystemCallError) {
    let subject = wanted.description
    let candidate = try resolve(wanted, passive: true)
    defer { freeaddrinfo(candidate.first) }
    guard let info = candidate.next else {
      throw SystemCallError("bind", subject, code: EADDRNOTAVAIL)
    }
    let number = openSocket(info)
    guard number >= 0 else { throw SystemCallError("socket", subject) }
    socket = OwnedDescriptor(number)
    var on: CInt = 1
    setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
    guard bind(number, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0 else {
      throw SystemCallError("bind", subject)
    }
    guard listen(number, 1024) == 0 else { throw SystemCallError("listen", subject) }
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    withUnsafeMutablePointer(to: &storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = getsockname(number, $0, &length)
      }
    }
    // Port and family stand at the same place in both address families.
    let port = withUnsafeBytes(of: &storage) {
      $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
    }
    address = NetworkAddress(host: wanted.host, port: UInt16(bigEndian: port))
    spare.withLock { $0 = Self.makeSpare() }
  }

  /// Waits for the next peer.
  package func accept() throws(SystemCallError) -> TCPConnection {
    while true {
      let number = Glibc.accept(socket.number, nil, nil)
      if number >= 0 {
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        return TCPConnection(OwnedDescriptor(number), peer: "peer of \(address)")
      }
      switch errno {
      case EINTR, ECONNABORTED: break
      case EMFILE, ENFILE:
        // The kernel says so before anybody has come.
        var entry = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, -1)
        turnAway()
      default: throw SystemCallError("accept", address.description)
      }
    }
  }

  /// What became of a peer that may have come.
  package enum Arrival {
    case connection(PolledSocket)
    /// Nobody is there.
    case nobody
    /// Somebody was, but the process has no descriptor left; the connection was closed.
    case turnedAway
  }

  /// Makes `acceptNow` return at once where nobody has come.
  package func makeNonblocking() {
    _ = fcntl(socket.number, F_SETFL, fcntl(socket.number, F_GETFL) | O_NONBLOCK)
  }

  /// Takes the next peer if there is one.
  ///
  /// - Precondition: `makeNonblocking` was called.
  package func acceptNow() throws(SystemCallError) -> Arrival {
    while true {
      var storage = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let number = withUnsafeMutablePointer(to: &storage) { storage in
        storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          Glibc.accept(socket.number, $0, &length)
        }
      }
      if number >= 0 {
        let descriptor = OwnedDescriptor(number)
        return .connection(PolledSocket(descriptor, peer: PeerAddress(storage, length)))
      }
      switch errno {
      case EINTR, ECONNABORTED: break
      case EAGAIN: return .nobody
      case EMFILE, ENFILE: return turnAway() ? .turnedAway : .nobody
      default: throw SystemCallError("accept", address.description)
      }
    }
  }

  /// Accepts with the spare descriptor and closes; `false` if nobody was there.
  @discardableResult
  private func turnAway() -> Bool {
    spare.withLock { spare in
      spare = nil
      let number = Glibc.accept(socket.number, nil, nil)
      if number >= 0 { _ = close(number) }
      spare = Self.makeSpare()
      return number >= 0
    }
  }

  private static func makeSpare() -> OwnedDescriptor? {
    try? OwnedDescriptor.open("/dev/null", O_RDONLY)
  }
}

extension TCPListener: Polled {
  package var polledNumber: CInt { socket.number }
}
