import CoordinatorCore
import ServiceSupport
import SystemIO
import Transport
import WireFormat

/// One worker's connection as the coordinator sees it.
///
/// A thread reads, a thread writes; whoever has something to say puts it into the queue. A worker
/// that lets the queue fill up is cut off rather than waited for.
final class WorkerLink: Sendable {
  let id: WorkerID
  private let connection: TCPConnection
  private let outgoing = Mailbox<Frame>(limit: 1024)
  /// Questions to the worker that wait for their answers, by request number.
  private let questions = Guarded<(last: UInt64, waiting: [UInt64: Promise<WireMessage?>])>(
    (0, [:]))

  init(id: WorkerID, _ connection: TCPConnection) {
    self.id = id
    self.connection = connection
    BackgroundThread.start("worker-writer") { [outgoing] in
      while let frame = outgoing.take() {
        do {
          try connection.write(frame.encoded)
        } catch {
          break
        }
      }
      connection.shutDown()
      // Unsent frames may hold records; nobody will send them any more.
      outgoing.close()
      _ = outgoing.takeAll()
    }
  }

  /// Reads messages until the worker leaves; answers to questions go to whoever asked.
  func readMessages(_ handle: (WireMessage, _ request: UInt64) -> Void) throws {
    while let message = try connection.readFrame(limit: Frame.maximumByteCount) {
      let waiting = questions.withLock { $0.waiting.removeValue(forKey: message.request) }
      switch try WireMessage(message) {
      case .predictions(let predictions): waiting?.fulfil(.predictions(predictions))
      case .predictionFailed(let reason): waiting?.fulfil(.predictionFailed(reason))
      case let other: handle(other, message.request)
      }
    }
  }

  func send(_ message: WireMessage, request: UInt64 = 0) {
    if !outgoing.put(message.frame(request: request)) { close() }
  }

  /// Asks and waits; `nil` if the worker left or took too long.
  func ask(_ message: WireMessage, timeoutSeconds: Double) -> WireMessage? {
    let answer = Promise<WireMessage?>()
    let request = questions.withLock { questions in
      questions.last += 1
      questions.waiting[questions.last] = answer
      return questions.last
    }
    send(message, request: request)
    defer { _ = questions.withLock { $0.waiting.removeValue(forKey: request) } }
    return answer.wait(seconds: timeoutSeconds) ?? nil
  }

  /// Ends the connection and everybody's waiting for it.
  func close() {
    outgoing.close()
    connection.shutDown()
    let waiting = questions.withLock { questions in
      defer { questions.waiting = [:] }
      return questions.waiting.values.map { $0 }
    }
    for promise in waiting { promise.fulfil(nil) }
  }
}
