import Glibc

/// Where a peer connects from, without its port.
package struct PeerAddress: Hashable, Sendable, CustomStringConvertible {
  package let host: String

  package init(host: String) {
    self.host = host
  }

  init(_ storage: sockaddr_storage, _ length: socklen_t) {
    var storage = storage
    var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let status = withUnsafePointer(to: &storage) { storage in
      storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getnameinfo($0, length, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST)
      }
    }
    let bytes = name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    let text = status == 0 ? String(decoding: bytes, as: UTF8.self) : "unknown"
    // A listener for both families shows version 4 inside version 6.
    let mapped = "::ffff:"
    host = text.hasPrefix(mapped) ? String(text.dropFirst(mapped.count)) : text
  }

  package var isLoopback: Bool { NetworkAddress(host: host, port: 0).isLoopback }

  package var description: String { host }
}

/// A connected socket whose calls never wait.
package final class PolledSocket: Sendable {
  private let socket: OwnedDescriptor
  package let peer: PeerAddress

  init(_ socket: OwnedDescriptor, peer: PeerAddress) {
    self.socket = socket
    self.peer = peer
    _ = fcntl(socket.number, F_SETFD, FD_CLOEXEC)
    _ = fcntl(socket.number, F_SETFL, fcntl(socket.number, F_GETFL) | O_NONBLOCK)
    prepareStream(socket)
  }

  /// Connects, waiting for the peer's kernel; afterwards no call waits.
  package static func connect(to address: NetworkAddress) throws(SystemCallError) -> PolledSocket {
    PolledSocket(try connectStream(to: address), peer: PeerAddress(host: address.host))
  }

  package enum Received: Equatable {
    case bytes(count: Int)
    /// Nothing is there now.
    case nothing
    /// The peer has ended the stream or is gone.
    case end
  }

  /// Reads what is there, as far as the buffer has room.
  package func receive(into buffer: inout [UInt8]) -> Received {
    while true {
      let count = recv(socket.number, &buffer, buffer.count, 0)
      if count > 0 { return .bytes(count: count) }
      if count == 0 { return .end }
      if errno == EAGAIN { return .nothing }
      if errno != EINTR { return .end }
    }
  }

  /// Sends what the kernel takes of `bytes` from an offset on; `nil` once the peer is gone.
  package func send(_ bytes: [UInt8], from offset: Int) -> Int? {
    while true {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          socket.number, $0.baseAddress! + offset, $0.count - offset, CInt(MSG_NOSIGNAL))
      }
      if count >= 0 { return count }
      if errno == EAGAIN { return 0 }
      if errno != EINTR { return nil }
    }
  }

  /// Ends both directions, which whoever polls the socket sees.
  package func shutDown() {
    _ = shutdown(socket.number, CInt(SHUT_RDWR))
  }
}

extension PolledSocket: Polled {
  package var polledNumber: CInt { socket.number }
}
