import CoordinatorAPI
import CoordinatorCore
import HTTP
import ServiceSupport
import SystemIO

/// How requests have gone since the start.
struct RequestLog {
  private(set) var durations: [String: Histogram] = [:]
  /// With the usual ones from the start, so that a rate over the first of them is not lost.
  private(set) var statuses = ["200": 0, "400": 0, "401": 0, "404": 0, "500": 0, "503": 0]

  mutating func add(_ kind: RequestKind, status: Int, seconds: Double) {
    durations[kind.rawValue, default: Histogram()].add(seconds: seconds)
    statuses["\(status)", default: 0] += 1
  }
}

/// What a request is about, for metrics: few words, none of them a client's.
enum RequestKind: String, CaseIterable {
  case delete, predict, read, write
}

extension CoordinatorService {
  /// `GET /livez`. Waits for the loop that decides everything; a probe gives up by itself.
  func liveness() -> HTTPResponse {
    loop.inspect { _ in }
    return HTTPResponse(text: "ok\n")
  }

  /// `GET /readyz`: says that the coordinator can do its work, and nothing of the run.
  func readiness() -> HTTPResponse {
    let (isBehind, isOnReserve, stuck) = loop.report { view, _ in
      (
        view.coordinator.isBehind, view.isOnReserve,
        view.coordinator.purgeWaits.filter { $0.reason != nil }
      )
    }
    let disk = isOnReserve ? Self.reserveProblem : diskProblem()
    // A place of our own that cannot be cleaned breaks a promise; one of somebody else's does not
    // keep the coordinator from its work, and is only said.
    let purge = stuck.first { $0.isOwn }
    let checks = [
      ("journal-replayed", true, ""),
      ("deletions-known", !isBehind, "a worker has seen deletions that this run does not know"),
      ("disk", disk == nil, disk ?? ""),
      (
        "purge", purge == nil,
        "deleted bytes cannot be removed from the \(purge?.place ?? "files"): see lethe deletions"
      ),
    ]
    var lines = checks.map { name, holds, problem in
      holds ? "[+] \(name)\n" : "[-] \(name): \(problem)\n"
    }
    let others = stuck.count { !$0.isOwn }
    if others > 0 {
      lines.append("[!] exports: \(others) cannot be removed: see lethe exports\n")
    }
    return HTTPResponse(text: lines.joined(), status: checks.allSatisfy(\.1) ? 200 : 503)
  }

  /// `GET /metrics`: no label names a record, a block or a worker.
  func metrics() -> HTTPResponse {
    let status = status()
    let queue = loop.report { view, reports in
      QueueFigures(
        longestWait: view.coordinator.longestWait(reports) ?? 0,
        troubles: view.coordinator.leaseTroubles,
        artifactByteCount: reports.reduce(0) { $0.addingOrLargest($1.artifactByteCount) })
    }
    let now = SystemClock.wallMilliseconds
    let clocks = loop.inspect { DeletionClocks($0.state.deletions, now) }
    var text = Exposition()
    text.add(
      "lethe_build_info", .gauge, "The version that runs.", by: "version",
      [(ProductVersion.text, 1)])
    text.add("lethe_records", .gauge, "Live records.", Double(status.records))
    text.add(
      "lethe_records_deleted_total", .counter, "Records deleted.", Double(status.deleted))
    let waiting = status.waiting.values.reduce(0, +)
    text.add(
      "lethe_blocks", .gauge, "Blocks by state.", by: "state",
      [
        ("trained", Double(status.blocksTrained)), ("masked", Double(status.blocksMasked)),
        ("training", Double(status.blocksTraining)), ("waiting", Double(waiting)),
      ])
    // A reason may go on in words of its own, after a colon: too many for a label.
    let reasons = Dictionary(
      status.waiting.map { (String($0.key.prefix { $0 != ":" }), $0.value) }, uniquingKeysWith: +)
    text.add(
      "lethe_blocks_waiting", .gauge, "Blocks that wait, by the reason.", by: "reason",
      reasons.sorted { $0.key < $1.key }.map { ($0.key, Double($0.value)) })
    text.add("lethe_full_depth", .gauge, "Blocks of a whole sequence.", Double(status.fullDepth))
    text.add(
      "lethe_shard_depth", .gauge, "Blocks that a shard serves.", by: "shard",
      status.shards.map { ("\($0.shard)", Double($0.depth)) })
    text.add(
      "lethe_workers", .gauge, "Connected workers by what they do.", by: "state",
      [
        ("training", Double(status.workers.count { $0.training != nil })),
        ("refused", Double(status.workers.count { $0.reason != nil })),
        (
          "idle",
          Double(status.workers.count { $0.training == nil && $0.reason == nil })
        ),
      ])
    text.add(
      "lethe_worker_heartbeat_oldest_age_seconds", .gauge,
      "Longest time that a connected worker has said nothing; 0 without workers.",
      Double(currentLinks.map(\.silence).max() ?? 0) / 1000)
    text.add(
      "lethe_job_queue_oldest_age_seconds", .gauge,
      "Longest time that a block has only lacked a worker; 0 without one.",
      Double(queue.longestWait) / 1000)
    text.add(
      "lethe_leases_expired_total", .counter, "Leases that ran out since the start.",
      Double(queue.troubles.expired))
    text.add(
      "lethe_stale_completions_total", .counter,
      "Results since the start whose lease had ended.", Double(queue.troubles.staleCompletions))
    let misconduct = misconduct.withLock { $0 }
    text.add(
      "lethe_refused_total", .counter,
      "What workers handed in since the start and was refused, by what it was.", by: "kind",
      Misconduct.Kind.allCases.map { ($0.rawValue, Double(misconduct.counts[$0] ?? 0)) })
    text.add(
      "lethe_keys_turned_out", .gauge, "Keys under which too much was refused.",
      Double(misconduct.namesTurnedOut.count))
    clocks.write(to: &text)
    text.add("lethe_ledger_entries", .gauge, "Entries of the ledger.", Double(status.ledgerSize))
    text.add(
      "lethe_journal_sequence", .gauge, "The newest journal entry.",
      Double(status.journalSequence))
    text.add(
      "lethe_journal_syncs_total", .counter, "Syncs of the journal since the start.",
      Double(status.journalSyncs))
    text.add(
      "lethe_audits_total", .counter, "Second trainings since the start, by how bits compared.",
      by: "result",
      [
        ("same", Double(status.audit.matched)),
        ("different", Double(status.audit.checked - status.audit.matched)),
      ])
    Self.addPurge(loop.inspect { $0.purgeFigures }, fences.cutOffCount, now, to: &text)
    text.add("lethe_alarms", .gauge, "Alarms that stand.", Double(status.alarms.count))
    let hooks = webhookFigures.withLock { $0 }
    text.add(
      "lethe_webhook_deliveries_total", .counter, "Attempts to tell receivers, by how they ended.",
      by: "result", [("delivered", Double(hooks.delivered)), ("failed", Double(hooks.failed))])
    text.add(
      "lethe_webhook_oldest_pending_seconds", .gauge,
      "Age of the oldest event that a receiver has not taken; 0 without one.",
      hooks.oldestPending.values.min().map { Double(max(now - $0, 0)) / 1000 } ?? 0)
    let times = loop.times.withLock { $0 }
    text.add(
      "lethe_journal_append_seconds", "Time to make a batch durable in both copies.",
      times.appends)
    text.add(
      "lethe_loop_lag_seconds", "Time that a question waits for the loop that decides.",
      times.questions)
    let requests = requestLog.withLock { $0 }
    text.add(
      "lethe_http_requests_total", .counter, "Answers by status.", by: "code",
      requests.statuses.sorted { $0.key < $1.key }.map { ($0.key, Double($0.value)) })
    text.add(
      "lethe_http_request_duration_seconds", "Time to answer, by what was asked.", by: "kind",
      RequestKind.allCases.map { ($0.rawValue, requests.durations[$0.rawValue] ?? Histogram()) })
    addStore(artifactByteCount: queue.artifactByteCount, to: &text)
    Self.addProcess(to: &text)
    return HTTPResponse(
      status: 200, contentType: Exposition.contentType, body: Array(text.text.utf8))
  }
}
