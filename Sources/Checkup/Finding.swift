import CommandLineKit
import CoordinatorService
import ServiceSupport
import SystemIO

/// One thing that `lethe doctor` looked at, and what it makes of it.
package struct Finding: Encodable, Equatable, Sendable {
  package enum Verdict: String, Encodable, Sendable {
    case ok
    /// Works, but not as somebody who relies on it would want.
    case warning
    /// Would not work.
    case failure
  }

  package var subject: String
  package var verdict: Verdict
  package var text: String
  /// What to do about it.
  package var hint: String?

  package init(_ subject: String, _ verdict: Verdict, _ text: String, try hint: String? = nil) {
    self.subject = subject
    self.verdict = verdict
    self.text = text
    self.hint = hint
  }

  /// What a look says if it succeeds, or the failure that ended it.
  package static func of(_ subject: String, _ look: () throws -> String) -> Finding {
    do {
      return Finding(subject, .ok, try look())
    } catch let error as ServiceError {
      return Finding(subject, .failure, error.message, try: error.hint)
    } catch let error as RunFileError {
      return Finding(subject, .failure, error.message, try: error.hint)
    } catch {
      return Finding(subject, .failure, "\(error)")
    }
  }
}

// MARK: - The machine

extension Finding {
  /// - Parameter worker: Bytes that each worker needs.
  package static func memory(_ host: HostResources, forEachWorker worker: Int) -> Finding {
    let room = host.availableByteCount / max(1, worker)
    let text =
      "\(host.coreCount) cores, \(Humanized.bytes(host.availableByteCount)) of memory: room for "
      + Humanized.count(min(room, host.coreCount), "worker")
      + " of up to \(Humanized.bytes(worker)) each"
    guard room < 1 else { return Finding("memory", .ok, text) }
    return Finding(
      "memory", .warning, text, try: "give workers a smaller --cache-bytes, or free memory")
  }

  /// - Parameter isKept: `nil` if unknown.
  package static func clock(isKept: Bool?) -> Finding {
    switch isKept {
    case true?: Finding("clock", .ok, "kept right by a time service")
    case false?:
      Finding(
        "clock", .warning, "nothing keeps it right, and due dates and receipts follow it",
        try: "run a time service, such as chrony or systemd-timesyncd")
    case nil: Finding("clock", .ok, "the kernel does not say who keeps it")
    }
  }

  /// - Parameter limit: Files and connections that a process may have open.
  package static func openFiles(_ limit: Int) -> Finding {
    guard limit < 1024 else { return Finding("open files", .ok, "up to \(limit)") }
    return Finding(
      "open files", .warning, "up to \(limit), and every worker and question takes one",
      try: "raise ulimit -n, or LimitNOFILE= of the unit")
  }

  /// - Parameters:
  ///   - current: This process's class, which a worker on this machine would have.
  ///   - pinned: The class that the run's blocks were trained in; `nil` before the first.
  package static func numerics(_ current: String, pinned: String?) -> Finding {
    guard let pinned, pinned != current else {
      return Finding("numerics", .ok, current + (pinned == nil ? "" : ", as the run's"))
    }
    return Finding(
      "numerics", .failure,
      "\(current), but the run's is \(pinned): a worker here would get nothing to train",
      try: "run workers where OpenBLAS and the processor's kind are those the run began with")
  }
}

// MARK: - Disks

extension Finding {
  /// Beyond it no disk of today can have written and flushed: it only says so.
  private static let honestSyncSeconds = 20e-6
  /// A deletion is answered after two of them.
  private static let slowSyncSeconds = 0.02
  /// Below it a coordinator soon ends, as it answers nothing it could not write.
  private static let neededByteCount: UInt64 = 64 << 20

  package static func disk(_ subject: String, _ probe: DiskProbe) -> Finding {
    let milliseconds = Humanized.fixed(probe.syncSeconds * 1000, digits: 3)
    let text =
      "\(Humanized.bytes(Int(probe.freeByteCount))) free of "
      + "\(Humanized.bytes(Int(probe.byteCount))), a synced write in \(milliseconds) ms"
      + (probe.cache.map { ", the disk's cache: \($0)" } ?? "")
    if probe.freeByteCount < neededByteCount {
      return Finding(subject, .failure, text, try: "free space: a full disk ends the coordinator")
    }
    if probe.syncSeconds < honestSyncSeconds {
      return Finding(
        subject, .warning, text + ": faster than a disk can be",
        try: "use a disk that honours flushes: what this one calls written may not outlive a power "
          + "cut; a tmpfs keeps nothing")
    }
    if probe.syncSeconds > slowSyncSeconds {
      return Finding(
        subject, .warning, text + ": slow",
        try: "use a faster disk for the journal: each deletion's answer waits for two such writes")
    }
    if probe.freeByteCount < probe.byteCount / 10 {
      return Finding(subject, .warning, text, try: "free space before it is full")
    }
    return Finding(subject, .ok, text)
  }

  /// The journal's two copies, by the disks they are on.
  package static func copies(_ a: DiskProbe, _ b: DiskProbe) -> Finding {
    guard a.device == b.device else {
      return Finding("journal copies", .ok, "on two disks, or two parts of one")
    }
    return Finding(
      "journal copies", .warning, "both on one disk: its loss is the run's",
      try: "name folders on two disks as coordinator.journal before the run's first start, and "
        + "make backups")
  }
}
