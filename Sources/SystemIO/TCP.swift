import Glibc

/// Where a process listens or connects: a host and a port.
package struct NetworkAddress: Equatable, Sendable, CustomStringConvertible {
  package var host: String
  package var port: UInt16

  package init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Reads `host:port`, `[v6]:port` or a bare port, which means loopback.
  package init?(_ text: String) {
    if let port = UInt16(text) {
      self.init(host: "127.0.0.1", port: port)
      return
    }
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...])
    else { return nil }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    guard !host.isEmpty else { return nil }
    self.init(host: String(host), port: port)
  }

  /// Whether only processes of this machine can reach it.
  package var isLoopback: Bool {
    host == "localhost" || host == "::1" || (host.hasPrefix("127.") && !host.contains(":"))
  }

  package var description: String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}

/// A byte stream to a peer. Reading belongs to one thread; writers take turns among themselves.
package final class TCPConnection: Sendable {
  private let socket: OwnedDescriptor
  package let peer: String

  init(_ socket: OwnedDescriptor, peer: String) {
    self.socket = socket
    self.peer = peer
    var on: CInt = 1
    setsockopt(
      socket.number, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
    // Finds a peer whose machine vanished, even while nothing is sent.
    setsockopt(socket.number, SOL_SOCKET, SO_KEEPALIVE, &on, socklen_t(MemoryLayout<CInt>.size))
  }

  package static func connect(to address: NetworkAddress) throws(SystemCallError) -> TCPConnection {
    let subject = address.description
    var failure = SystemCallError("connect", subject, code: EADDRNOTAVAIL)
    var candidate = try resolve(address, passive: false)
    defer { freeaddrinfo(candidate.first) }
    while let info = candidate.next {
      let number = openSocket(info)
      if number >= 0 {
        let descriptor = OwnedDescriptor(number)
        if Glibc.connect(number, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0 {
          return TCPConnection(descriptor, peer: subject)
        }
      }
      failure = SystemCallError("connect", subject)
      candidate.next = info.pointee.ai_next
    }
    throw failure
  }

  /// Gives up on reads and writes that make no progress for this long; 0 waits for ever.
  package func setTimeout(seconds: Int) {
    var time = timeval(tv_sec: seconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(
        socket.number, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  /// Reads what is there, at least one byte and at most `limit`; empty at the end of the stream.
  package func readSome(limit: Int) throws(SystemCallError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: limit)
    while true {
      let count = recv(socket.number, &bytes, limit, 0)
      if count >= 0 {
        bytes.removeSubrange(count...)
        return bytes
      }
      guard errno == EINTR else { throw SystemCallError("recv", peer) }
    }
  }

  /// Reads exactly so many bytes; `nil` if the stream ends before the first.
  package func read(byteCount: Int) throws(SystemCallError) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    var filled = 0
    while filled < byteCount {
      let count = bytes.withUnsafeMutableBytes {
        recv(socket.number, $0.baseAddress! + filled, byteCount - filled, 0)
      }
      if count > 0 {
        filled += count
      } else if count == 0 {
        if filled == 0 { return nil }
        throw SystemCallError("recv", peer, code: ECONNRESET)
      } else if errno != EINTR {
        throw SystemCallError("recv", peer)
      }
    }
    return bytes
  }

  package func write(_ bytes: [UInt8]) throws(SystemCallError) {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        send(
          socket.number, $0.baseAddress! + written, $0.count - written, CInt(MSG_NOSIGNAL))
      }
      if count >= 0 {
        written += count
      } else if errno != EINTR {
        throw SystemCallError("send", peer)
      }
    }
  }

  /// Ends both directions, which also wakes a thread that waits in a read.
  package func shutDown() {
    _ = shutdown(socket.number, CInt(SHUT_RDWR))
  }
}

/// A socket that peers connect to.
package final class TCPListener: Sendable {
  private let socket: OwnedDescriptor
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
    guard listen(number, 128) == 0 else { throw SystemCallError("listen", subject) }
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
  }

  /// Waits for the next peer.
  package func accept() throws(SystemCallError) -> TCPConnection {
    while true {
      let number = Glibc.accept(socket.number, nil, nil)
      if number >= 0 {
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        return TCPConnection(OwnedDescriptor(number), peer: "peer of \(address)")
      }
      guard errno == EINTR || errno == ECONNABORTED else {
        throw SystemCallError("accept", address.description)
      }
    }
  }
}

private func openSocket(_ info: UnsafeMutablePointer<addrinfo>) -> CInt {
  socket(
    info.pointee.ai_family, info.pointee.ai_socktype | CInt(SOCK_CLOEXEC.rawValue),
    info.pointee.ai_protocol)
}

private func resolve(_ address: NetworkAddress, passive: Bool) throws(SystemCallError)
  -> (first: UnsafeMutablePointer<addrinfo>, next: UnsafeMutablePointer<addrinfo>?)
{
  var hints = addrinfo()
  hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
  hints.ai_flags = passive ? AI_PASSIVE : 0
  var result: UnsafeMutablePointer<addrinfo>?
  guard getaddrinfo(address.host, String(address.port), &hints, &result) == 0, let result else {
    throw SystemCallError("resolve", address.description, code: EADDRNOTAVAIL)
  }
  return (result, result)
}
