import CoordinatorCore
import Hashing
import SystemIO
import WireFormat

/// The coordinator's end of the wire with answers from a test.
final class FakeCoordinator: Sendable {
  typealias Answer = @Sendable (WireMessage, UInt64) -> [(WireMessage, UInt64)]

  let address: NetworkAddress
  private let listener: TCPListener
  private let keys: [KeyID: PeerKey]
  private let messages = Guarded<[WireMessage]>([])
  private let connectionCount = Guarded(0)
  private let trickles: Bool

  /// - Parameters:
  ///   - trickles: what follows the answer to hello is one long frame, a byte every 50 ms.
  ///   - answer: what to say to each message; a hello comes as `hello`.
  init(keys: [PeerKey], trickles: Bool = false, answer: @escaping Answer) throws {
    self.trickles = trickles
    self.keys = Dictionary(uniqueKeysWithValues: keys.map { ($0.id, $0) })
    listener = try TCPListener(NetworkAddress(host: "127.0.0.1", port: 0))
    address = listener.address
    BackgroundThread.start("fake coordinator") { [self] in
      while let connection = try? listener.accept() {
        connectionCount.withLock { $0 += 1 }
        try? serve(connection, answer)
        connection.shutDown()
      }
    }
  }

  var heard: [WireMessage] { messages.withLock { $0 } }
  var connections: Int { connectionCount.withLock { $0 } }

  private func serve(_ connection: TCPConnection, _ answer: Answer) throws {
    var end = CoordinatorEnd(
      nonce: SystemRandom.bytes(count: 32), dummySecret: SystemRandom.bytes(count: 32), at: 0)
    while !end.isClosed {
      let bytes = try connection.readSome(limit: 64 << 10)
      guard !bytes.isEmpty else { return }
      for action in end.receive(bytes, at: 0, key: { keys[$0] }) {
        let (message, request): (WireMessage, UInt64)
        switch action {
        case .write(let bytes):
          try connection.write(bytes)
          continue
        case .close, .tooLarge: continue
        case .introduced(let introduction, _): (message, request) = (.hello(introduction), 0)
        case .message(let said, let number): (message, request) = (said, number)
        }
        messages.withLock { $0.append(message) }
        for (reply, request) in answer(message, request) {
          for frame in end.send(reply, request: request) { try connection.write(frame) }
        }
        guard trickles else { continue }
        for byte in end.send(.unavailable(String(repeating: "x", count: 1000)), request: 0).joined()
        {
          try connection.write([byte])
          SystemClock.sleep(seconds: 0.05)
        }
      }
    }
  }
}
