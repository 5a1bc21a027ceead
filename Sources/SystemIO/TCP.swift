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
    guard !host.isEmpty, host.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
    self.init(host: String(host), port: port)
  }

  /// Whether only processes of this machine can reach it.
  ///
  /// A name that begins like an address is a name: who owns it decides where it leads.
  package var isLoopback: Bool {
    if host == "localhost" { return true }
    if let bytes = Self.bytes(host, family: AF_INET, count: 4) { return bytes[0] == 127 }
    guard let bytes = Self.bytes(host, family: AF_INET6, count: 16) else { return false }
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127]
    return bytes == [UInt8](repeating: 0, count: 15) + [1] || bytes.starts(with: mapped)
  }

  /// Whether a text is an address of either family in numbers, and not a name.
  package static func isLiteral(_ host: String) -> Bool {
    bytes(host, family: AF_INET, count: 4) != nil || bytes(host, family: AF_INET6, count: 16) != nil
  }

  private static func bytes(_ host: String, family: CInt, count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    return inet_pton(family, host, &bytes) == 1 ? bytes : nil
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
    prepareStream(socket)
  }

  package static func connect(to address: NetworkAddress) throws(SystemCallError) -> TCPConnection {
    TCPConnection(try connectStream(to: address), peer: address.description)
  }

  /// Gives up on reads and writes that make no progress for this long; 0 waits for ever.
  package func setTimeout(seconds: Int) {
    var time = timeval(tv_sec: seconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(
        socket.number, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  /// Ends the connection when sent bytes go unacknowledged for so long: the network is cut, and
  /// nobody will say so.
  package func setUnacknowledgedLimit(seconds: Int) {
    var milliseconds = CInt(clamping: seconds * 1000)
    setsockopt(
      socket.number, CInt(IPPROTO_TCP), CInt(TCP_USER_TIMEOUT), &milliseconds,
      socklen_t(MemoryLayout<CInt>.size))
  }

  /// Tells the peer that nothing more comes, after everything that was written.
  package func endWriting() {
    _ = shutdown(socket.number, CInt(SHUT_WR))
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

/// A socket that is connected to an address, by whichever of its names answers first.
func connectStream(to address: NetworkAddress) throws(SystemCallError) -> OwnedDescriptor {
  let subject = address.description
  var failure = SystemCallError("connect", subject, code: EADDRNOTAVAIL)
  var candidate = try resolve(address, passive: false)
  defer { freeaddrinfo(candidate.first) }
  while let info = candidate.next {
    let number = openSocket(info)
    if number >= 0 {
      let descriptor = OwnedDescriptor(number)
      if connect(number, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0 { return descriptor }
    }
    failure = SystemCallError("connect", subject)
    candidate.next = info.pointee.ai_next
  }
  throw failure
}

func openSocket(_ info: UnsafeMutablePointer<addrinfo>) -> CInt {
  socket(
    info.pointee.ai_family, info.pointee.ai_socktype | CInt(SOCK_CLOEXEC.rawValue),
    info.pointee.ai_protocol)
}

func resolve(_ address: NetworkAddress, passive: Bool) throws(SystemCallError)
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

/// Sends small messages at once, and finds a peer whose machine vanished.
func prepareStream(_ socket: OwnedDescriptor) {
  let size = socklen_t(MemoryLayout<CInt>.size)
  var on: CInt = 1
  setsockopt(socket.number, CInt(IPPROTO_TCP), TCP_NODELAY, &on, size)
  // While nothing is sent, probes; while something is, the kernel's patience with silence.
  setsockopt(socket.number, SOL_SOCKET, SO_KEEPALIVE, &on, size)
  var patience = unacknowledgedMilliseconds
  setsockopt(socket.number, CInt(IPPROTO_TCP), CInt(TCP_USER_TIMEOUT), &patience, size)
}

/// How long sent bytes may go without a sign that the peer's machine has them; as long as a worker
/// may be silent.
private let unacknowledgedMilliseconds: CInt = 60_000
