import CoordinatorAPI
import CoordinatorCore
import SystemIO
import Unlearning

/// What waits for workers, and what became of their leases.
struct QueueFigures: Sendable {
  var longestWait: Milliseconds
  var troubles: LeaseTroubles
  var artifactByteCount: UInt64
}

/// Deletions and how long they take; made inside the loop, so that no copy of them leaves it.
struct DeletionClocks: Sendable {
  private var counts: [DeletionState: Int] = [:]
  private var overdue = 0
  private var dueSoon = 0
  private var oldestAge: Milliseconds = 0
  private var purging = Histogram(bounds: Histogram.workBounds)
  private var repairing = Histogram(bounds: Histogram.workBounds)
  private var certifying = Histogram(bounds: Histogram.workBounds)

  private static let soon: Milliseconds = 3 * 86_400_000

  init(_ deletions: [Deletion], _ now: Milliseconds) {
    for deletion in deletions {
      counts[deletion.state, default: 0] += 1
      func add(_ end: Milliseconds?, to histogram: inout Histogram) {
        // A clock that was set back makes nothing take less than no time.
        if let end { histogram.add(seconds: Double(max(end - deletion.acceptedAt, 0)) / 1000) }
      }
      add(deletion.purgedAt, to: &purging)
      add(deletion.repairedAt, to: &repairing)
      add(deletion.certifiedAt, to: &certifying)
      guard deletion.certifiedAt == nil else { continue }
      if deletion.due < now {
        overdue += 1
      } else if deletion.due < now + Self.soon {
        dueSoon += 1
      }
      oldestAge = max(oldestAge, now - deletion.acceptedAt)
    }
  }

  func write(to text: inout Exposition) {
    text.add(
      "lethe_deletions", .gauge, "Deletions by state.", by: "state",
      DeletionState.allCases.map { ($0.rawValue, Double(counts[$0] ?? 0)) })
    text.add(
      "lethe_deletions_overdue", .gauge, "Deletions that are past their due date.",
      Double(overdue))
    text.add(
      "lethe_deletions_due_soon", .gauge, "Unfinished deletions due within three days.",
      Double(dueSoon))
    text.add(
      "lethe_deletion_oldest_age_seconds", .gauge,
      "Age of the oldest deletion that is not certified; 0 without one.",
      Double(oldestAge) / 1000)
    text.add(
      "lethe_deletion_state_seconds",
      "Time from a deletion's acknowledgement until it reached a state; of all deletions.",
      by: "state",
      [("purged", purging), ("repaired", repairing), ("certified", certifying)])
  }
}

extension CoordinatorService {
  /// What the run's bytes come to, and what room their disks have.
  func addStore(artifactByteCount: UInt64, to text: inout Exposition) {
    func size(_ folder: String) -> Double {
      // A file that goes while they are counted has no size.
      let names = (try? FileSystem.list(folder)) ?? []
      return names.reduce(0) { $0 + Double((try? FileSystem.byteCount("\(folder)/\($1)")) ?? 0) }
    }
    let (journalA, journalB) = directory.journalFolders
    text.add(
      "lethe_store_bytes", .gauge, "Bytes on disk by what they are.", by: "kind",
      [
        ("artifacts", Double(artifactByteCount)), ("records", size("\(directory.path)/slices")),
        ("journal", size(journalA) + size(journalB)),
      ])
    let disks = [("run", directory.path), ("journal-a", journalA), ("journal-b", journalB)]
      .compactMap { name, path in (try? FileSystem.room(path)).map { (name, $0) } }
    text.add(
      "lethe_disk_free_bytes", .gauge, "Room left on the disk of each folder.", by: "folder",
      disks.map { ($0, Double($1.freeByteCount)) })
    text.add(
      "lethe_disk_size_bytes", .gauge, "Size of the disk of each folder.", by: "folder",
      disks.map { ($0, Double($1.byteCount)) })
  }

  /// The figures that every Prometheus client has, by their usual names.
  static func addProcess(to text: inout Exposition) {
    let usage = ProcessUsage.own
    text.add(
      "process_start_time_seconds", .gauge, "Start of the process, in seconds since 1970.",
      usage.startSeconds)
    text.add(
      "process_cpu_seconds_total", .counter, "Seconds of all threads on a core.",
      usage.processorSeconds)
    text.add(
      "process_resident_memory_bytes", .gauge, "Memory held now.",
      Double(usage.residentByteCount))
    text.add(
      "process_open_fds", .gauge, "Open descriptors.", Double(usage.openDescriptorCount))
  }
}
