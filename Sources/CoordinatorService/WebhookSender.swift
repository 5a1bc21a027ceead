import CoordinatorCore
import Hashing
import ServiceSupport
import SystemIO
import Unlearning

/// How deliveries have gone since the start, and what waits.
struct WebhookFigures: Sendable {
  var delivered = 0
  var failed = 0
  /// When the oldest event happened that a receiver has not taken.
  var oldestPending: [String: Milliseconds] = [:]
}

/// Tells one receiver what has changed, on a thread of its own.
///
/// It asks the loop now and then and never keeps it waiting. An event is noted as told once the
/// receiver has said so, and the note is durable a little later: after a crash some are told again,
/// under the same ids, and none is left out.
final class WebhookSender: Sendable {
  private let hook: Webhook
  private let path: String
  private let service: CoordinatorService
  private let log: Log
  private let run: RunDescription

  private static let pollSeconds = 0.25
  /// Longest that a due date or an alarm goes unnoticed.
  private static let lookSeconds = 2.0
  private static let answerSeconds = 15
  private static let firstDelaySeconds = 0.5
  private static let longestDelaySeconds = 300.0
  /// Deliveries after which the cursor is written in any case.
  private static let deliveriesBetweenWrites = 32

  /// Prepares the cursor of a receiver; one that is new is told what changes from now on.
  init(_ hook: Webhook, _ service: CoordinatorService) throws {
    self.hook = hook
    self.service = service
    log = service.log
    run = service.loop.inspect { $0.state.run }
    let folder = "\(service.directory.path)/\(Webhook.folderName)"
    path = "\(folder)/\(hook.cursorName)"
    try FileSystem.createDirectory(folder)
    try FileSystem.remove(path + FileSystem.temporarySuffix)
    if !FileSystem.exists(path) {
      var cursor = NoticeCursor()
      for notice in look(&cursor) { cursor.mark(notice) }
      try FileSystem.replace(path, with: cursor.encoded)
    }
    _ = try NoticeCursor(encoded: try FileSystem.read(path), path: path)
  }

  func start() {
    BackgroundThread.start("webhook") { [self] in
      do {
        try deliver(from: try NoticeCursor(encoded: try FileSystem.read(path), path: path))
      } catch {
        // Going on without the note would tell everything again at every start.
        log.write(.webhookFailed, "no more events are sent: \(error)")
      }
    }
  }

  private func deliver(from start: NoticeCursor) throws {
    var cursor = start
    var written = start
    var attempt = 0
    var seen: (sequence: UInt64, seconds: Double) = (0, -.infinity)
    while true {
      // Only the journal and time bring anything new; to look costs more than to ask.
      let sequence = service.loop.view { $0.sequence }
      guard
        attempt > 0 || sequence != seen.sequence
          || SystemClock.seconds > seen.seconds + Self.lookSeconds
      else {
        SystemClock.sleep(seconds: Self.pollSeconds)
        continue
      }
      seen = (sequence, SystemClock.seconds)
      var pending = look(&cursor)[...]
      note(pending.first?.at)
      if cursor != written { try write(cursor, &written) }
      var count = 0
      while let notice = pending.first {
        guard !hook.kinds.contains(notice.kind) || tell(notice, attempt: attempt + 1) else { break }
        pending.removeFirst()
        attempt = 0
        cursor.mark(notice)
        count += 1
        if count % Self.deliveriesBetweenWrites == 0 { try write(cursor, &written) }
      }
      if cursor != written { try write(cursor, &written) }
      note(pending.first?.at)
      guard !pending.isEmpty else { continue }
      attempt += 1
      SystemClock.sleep(seconds: Self.delaySeconds(attempt: attempt))
    }
  }

  private static func delaySeconds(attempt: Int) -> Double {
    min(firstDelaySeconds * Double(1 << min(attempt - 1, 20)), longestDelaySeconds)
  }

  private func write(_ cursor: NoticeCursor, _ written: inout NoticeCursor) throws {
    do {
      try FileSystem.replace(path, with: cursor.encoded)
      written = cursor
    } catch {
      // The disk may have room again at the next one; until then more would be told twice.
      guard error.isDiskFull else { throw error }
    }
  }

  private func note(_ oldest: Milliseconds?) {
    service.webhookFigures.withLock { $0.oldestPending[hook.cursorName] = oldest }
  }

  /// What the receiver does not know yet, as of now.
  private func look(_ cursor: inout NoticeCursor) -> [Notice] {
    let (fileAlarms, saltAlarm) = (service.strayAlarms(), service.saltAlarm)
    let namesTurnedOut = service.misconduct.withLock { $0.namesTurnedOut }
    let hasFences = !service.fences.alarms.isEmpty
    let hasDiskProblem = service.diskProblem() != nil
    let (seen, notices) = service.loop.report { [cursor] view, reports in
      var cursor = cursor
      cursor.fit(view.coordinator.state)
      let now = SystemClock.wallMilliseconds
      let state = view.coordinator.state
      var conditions = Set(
        state.quarantinedKeys.map {
          Condition("bits_differ", about: String($0.digest.hex.prefix(12)))
        })
      if view.coordinator.isBehind { conditions.insert(Condition("older_than_its_promises")) }
      if view.isOnReserve || hasDiskProblem { conditions.insert(Condition("disk_full")) }
      for wait in view.coordinator.purgeWaits where wait.reason != nil {
        conditions.insert(Condition(wait.isOwn ? "purge_fails" : "export_out_of_reach"))
      }
      if hasFences { conditions.insert(Condition("worker_cut_off")) }
      if !namesTurnedOut.isEmpty { conditions.insert(Condition("key_turned_out")) }
      if !fileAlarms.isEmpty { conditions.insert(Condition("uncatalogued_file")) }
      if saltAlarm != nil { conditions.insert(Condition("salts_lost")) }
      cursor.observe(conditions, at: now)
      let trained = reports.reduce(0) { $0 + $1.trainedCount }
      return (
        cursor,
        cursor.pending(state, isTrained: trained == state.plan.slotCount, now: now)
      )
    }
    cursor = seen
    return notices
  }

  /// Sends one event; whether the receiver took it.
  private func tell(_ notice: Notice, attempt: Int) -> Bool {
    let event = WebhookEvent(notice, run)
    let start = SystemClock.seconds
    let problem = send(event)
    let took = Log.Value(seconds: SystemClock.seconds - start)
    service.webhookFigures.withLock {
      if problem == nil { $0.delivered += 1 } else { $0.failed += 1 }
    }
    if let problem {
      let delay = Self.delaySeconds(attempt: attempt)
      log.write(
        .webhookFailed, "\(hook.address) did not take \(event.kind.rawValue); again in \(delay) s",
        [.attempt: Log.Value(attempt), .durationMilliseconds: took, .error: .text(problem)])
    } else {
      log.write(
        .webhookDelivered, "\(hook.address) took \(event.kind.rawValue)",
        [.attempt: Log.Value(attempt), .durationMilliseconds: took])
    }
    return problem == nil
  }

  /// - Returns: Why it was not delivered; `nil` if it was.
  private func send(_ event: WebhookEvent) -> String? {
    let seconds = SystemClock.wallMilliseconds / 1000
    let signature = hook.secret.signature(id: event.id, seconds: seconds, body: event.body)
    let head = """
      POST \(hook.target) HTTP/1.1\r
      Host: \(hook.address)\r
      User-Agent: lethe/\(ProductVersion.text)\r
      Content-Type: application/json\r
      Content-Length: \(event.body.count)\r
      webhook-id: \(event.id)\r
      webhook-timestamp: \(seconds)\r
      webhook-signature: \(signature)\r
      Connection: close\r
      \r

      """
    do {
      let connection = try TCPConnection.connect(to: hook.address)
      connection.setTimeout(seconds: Self.answerSeconds)
      try connection.write(Array(head.utf8) + event.body)
      let status = try Self.status(connection)
      return status.map { (200..<300).contains($0) ? nil : "it answered \($0)" }
        ?? "it gave no answer of HTTP"
    } catch {
      return "\(error)"
    }
  }

  /// Reads the status and nothing more: what else a receiver says is of no use.
  private static func status(_ connection: TCPConnection) throws -> Int? {
    let deadline = SystemClock.seconds + 2 * Double(answerSeconds)
    var line: [UInt8] = []
    while !line.contains(UInt8(ascii: "\n")) {
      let some = try connection.readSome(limit: 4096)
      line += some
      guard !some.isEmpty, line.count <= 4096, SystemClock.seconds < deadline else { return nil }
    }
    let words = String(decoding: line.prefix { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
      .split(separator: " ")
    guard words.count >= 2, words[0].hasPrefix("HTTP/1.") else { return nil }
    return Int(words[1])
  }
}
