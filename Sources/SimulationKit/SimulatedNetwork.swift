import CoordinatorCore
import WireFormat
import WorkerCore

/// Connections: ordered streams with delays, that break, stall, and are tampered with.
final class SimulatedNetwork {
  weak var world: Simulation!

  /// One TCP connection. Each end learns of its breaking in its own time.
  final class Connection {
    let number: UInt64
    let worker: SimulatedWorker
    var coordinatorEnd: CoordinatorEnd?
    var workerEnd: WorkerEnd?
    /// When the last byte of each direction arrives: streams keep their order.
    var lastArrival: (atCoordinator: Milliseconds, atWorker: Milliseconds) = (0, 0)
    /// Everything sealed, in order; what is delivered must be exactly this.
    var sent: (toCoordinator: [WireMessage], toWorker: [WireMessage]) = ([], [])
    var delivered: (toCoordinator: Int, toWorker: Int) = (0, 0)
    /// The worker's number at the coordinator, once introduced.
    var id: WorkerID?

    init(number: UInt64, worker: SimulatedWorker) {
      self.number = number
      self.worker = worker
    }
  }

  private var lastNumber: UInt64 = 0
  private var cutUntil: [Int: Milliseconds] = [:]
  /// What the other side's silence costs: TCP_USER_TIMEOUT.
  private static let userTimeout: Milliseconds = 15_000

  /// A connection attempt; the worker's end speaks first.
  func connect(_ worker: SimulatedWorker) {
    lastNumber += 1
    let connection = Connection(number: lastNumber, worker: worker)
    worker.connection = connection
    world.after(delay(worker)) { [unowned self] in
      guard worker.connection === connection else { return }
      guard world.coordinator.accept(connection) else { return breakOff(connection) }
      worker.connected(connection)
    }
  }

  func send(_ bytes: [UInt8], over connection: Connection, toCoordinator: Bool) {
    var chunks = [bytes]
    if bytes.count > 1, world.fault(oneIn: 40) {
      // The stream arrives in two reads.
      let middle = Int.random(in: 1..<bytes.count, using: &world.random)
      chunks = [Array(bytes[..<middle]), Array(bytes[middle...])]
    }
    if world.fault(oneIn: 400) { tamper(&chunks) }
    for chunk in chunks {
      let last =
        toCoordinator
        ? connection.lastArrival.atCoordinator : connection.lastArrival.atWorker
      let arrival = max(world.now + delay(connection.worker), last)
      if toCoordinator {
        connection.lastArrival.atCoordinator = arrival
      } else {
        connection.lastArrival.atWorker = arrival
      }
      deliver(chunk, over: connection, toCoordinator: toCoordinator, after: arrival - world.now)
    }
  }

  private func deliver(
    _ bytes: [UInt8], over connection: Connection, toCoordinator: Bool,
    after delay: Milliseconds
  ) {
    world.after(delay) { [unowned self] in
      if let until = cutUntil[connection.worker.index], until > world.now {
        // TCP sends again until it gives up.
        let wait = until - world.now
        if wait >= Self.userTimeout {
          breakOff(connection)
        } else {
          if toCoordinator {
            connection.lastArrival.atCoordinator = until
          } else {
            connection.lastArrival.atWorker = until
          }
          deliver(bytes, over: connection, toCoordinator: toCoordinator, after: wait)
        }
        return
      }
      if toCoordinator {
        try world.coordinator.receive(bytes, over: connection)
      } else {
        try connection.worker.receive(bytes, over: connection)
      }
    }
  }

  private func tamper(_ chunks: inout [[UInt8]]) {
    world.count("tampering")
    let bytes = chunks[0]
    switch Int.random(in: 0..<4, using: &world.random) {
    case 0: chunks.insert(bytes, at: 0)
    case 1 where !bytes.isEmpty:
      let place = Int.random(in: bytes.indices, using: &world.random)
      chunks[0][place] ^= UInt8.random(in: 1...255, using: &world.random)
    case 2: chunks.removeFirst()
    default: chunks.reverse()
    }
  }

  /// Ends a connection; each end hears of it after a while.
  func breakOff(_ connection: Connection) {
    world.after(delay(connection.worker)) { [unowned self] in
      world.coordinator.lost(connection)
    }
    world.after(delay(connection.worker)) {
      connection.worker.lost(connection)
    }
  }

  func breakConnections(of worker: SimulatedWorker) {
    guard let connection = worker.connection else { return }
    world.count("connection broken")
    world.note("break \(worker.index)")
    breakOff(connection)
  }

  func cutOff(_ worker: SimulatedWorker, for time: Milliseconds) {
    world.count("partition")
    world.note("cut off \(worker.index) for \(time)")
    cutUntil[worker.index] = world.now + time
    guard time >= Self.userTimeout, let connection = worker.connection else { return }
    world.after(Self.userTimeout) { [unowned self] in breakOff(connection) }
  }

  private func delay(_ worker: SimulatedWorker) -> Milliseconds {
    if world.fault(oneIn: 100) { return world.chance(0...3_000) }
    return world.chance(0...20)
  }
}
