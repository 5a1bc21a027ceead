import SystemIO
import Testing

@Suite("Sockets that are polled") struct PollSetTests {
  private func accept(_ listener: TCPListener) throws -> PolledSocket? {
    if case .connection(let socket) = try listener.acceptNow() { socket } else { nil }
  }

  @Test("tells who can be read, without waiting for anybody else")
  func reading() throws {
    let listener = try TCPListener(NetworkAddress(host: "127.0.0.1", port: 0))
    listener.makeNonblocking()
    #expect(try accept(listener) == nil, "nobody has come")
    let wakeUp = try WakeUp()
    var poll = PollSet()
    poll.append(listener)
    poll.append(wakeUp)
    poll.wait(milliseconds: 0)
    #expect(!poll.isReady(0) && !poll.isReady(1))
    wakeUp.wake()
    poll.wait(milliseconds: 1000)
    #expect(!poll.isReady(0) && poll.canRead(1))
    wakeUp.clear()
    let client = try TCPConnection.connect(to: listener.address)
    poll.wait(milliseconds: 1000)
    #expect(poll.canRead(0) && !poll.isReady(1))
    let socket = try #require(try accept(listener))
    #expect(socket.peer == PeerAddress(host: "127.0.0.1") && socket.peer.isLoopback)
    poll.append(socket)
    var buffer = [UInt8](repeating: 0, count: 8)
    #expect(socket.receive(into: &buffer) == .nothing)
    try client.write([1, 2, 3])
    poll.wait(milliseconds: 1000)
    #expect(poll.canRead(2) && socket.receive(into: &buffer) == .bytes(count: 3))
    #expect(buffer.prefix(3) == [1, 2, 3])
    client.shutDown()
    poll.wait(milliseconds: 1000)
    #expect(poll.isReady(2) && socket.receive(into: &buffer) == .end)
  }

  @Test("sends what fits and says when there is room again")
  func writing() throws {
    let listener = try TCPListener(NetworkAddress(host: "127.0.0.1", port: 0))
    listener.makeNonblocking()
    let client = try TCPConnection.connect(to: listener.address)
    let socket = try #require(try accept(listener))
    let bytes = [UInt8](repeating: 7, count: 1 << 20)
    var sent = 0
    while let count = socket.send(bytes, from: 0), count > 0 { sent += count }
    #expect(sent > 0, "a peer that does not read fills the kernel's buffers")
    var poll = PollSet()
    poll.append(socket)
    poll.setInterest(0, reading: false, writing: true)
    poll.wait(milliseconds: 0)
    #expect(!poll.canWrite(0))
    var read = 0
    while read < sent { read += try client.readSome(limit: 1 << 20).count }
    poll.wait(milliseconds: 1000)
    #expect(poll.canWrite(0))
    socket.shutDown()
    poll.wait(milliseconds: 1000)
    #expect(poll.hasFailed(0) && socket.send(bytes, from: 0) == nil)
  }

  @Test("removes by moving the last")
  func removal() throws {
    let wakeUps = try (0..<3).map { _ in try WakeUp() }
    var poll = PollSet()
    for wakeUp in wakeUps { poll.append(wakeUp) }
    poll.swapRemove(0)
    wakeUps[2].wake()
    poll.wait(milliseconds: 1000)
    // Their owner keeps descriptors open for as long as they are in the set.
    withExtendedLifetime(wakeUps) {
      #expect(poll.count == 2 && poll.canRead(0) && !poll.isReady(1))
    }
  }
}
