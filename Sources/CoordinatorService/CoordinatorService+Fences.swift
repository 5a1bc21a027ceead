import CoordinatorAPI
import CoordinatorCore
import ServiceSupport
import SystemIO
import WireFormat

/// Keys of workers that were cut off, each kept out for a while that grows with every time.
///
/// By key, as names are the peer's own words. Other sessions of the same key go on: each answers
/// for itself.
final class Fences: Sendable {
  private struct Fence: Sendable {
    var name: String
    var reason: String
    var at: Milliseconds
    var until: Milliseconds
    var count: Int
  }

  private let fences = Guarded<[KeyID: Fence]>([:])
  private let total = Guarded(0)

  private static let firstPause: Milliseconds = 5_000
  private static let longestPause: Milliseconds = 300_000
  /// After so long without another time the pauses begin anew.
  private static let memory: Milliseconds = 3_600_000
  /// How long an alarm stands after the last time.
  private static let alarmDuration: Milliseconds = 24 * 3_600_000

  func add(_ id: KeyID, name: String, reason: String) {
    let now = SystemClock.monotonicMilliseconds
    total.withLock { $0 += 1 }
    fences.withLock { fences in
      let earlier = fences[id].flatMap { now - $0.until < Self.memory ? $0.count : nil }
      let count = (earlier ?? 0) + 1
      let pause = min(Self.firstPause << Milliseconds(min(count - 1, 16)), Self.longestPause)
      fences[id] = Fence(
        name: name, reason: reason, at: SystemClock.wallMilliseconds, until: now + pause,
        count: count)
    }
  }

  /// How long a key is still kept out; `nil` if it is not.
  func secondsLeft(_ id: KeyID) -> Int? {
    let now = SystemClock.monotonicMilliseconds
    return fences.withLock { fences in
      fences[id].flatMap { $0.until > now ? Int(($0.until - now + 999) / 1000) : nil }
    }
  }

  /// Workers that were cut off since the start.
  var cutOffCount: Int { total.withLock { $0 } }

  /// What an operator must know, by key.
  var alarms: [String] {
    let now = SystemClock.wallMilliseconds
    return fences.withLock { fences in
      fences.filter { now - $0.value.at < Self.alarmDuration }.sorted { $0.key < $1.key }.map {
        id, fence in
        "a worker with key \(fence.name) (\(id)) was cut off at \(Timestamp.text(fence.at))"
          + (fence.count > 1 ? ", \(fence.count) times by now" : "")
          + ": \(fence.reason); revoke the key unless you know why"
      }
    }
  }
}

extension CoordinatorService {
  /// Ends a worker's connection for good: the core has forgotten it, and nothing that it still
  /// says counts.
  func cutOff(_ id: WorkerID, _ reason: String) {
    guard let member = members.withLock({ $0.byID.removeValue(forKey: id) }) else { return }
    let name = directory.keys.find(member.key).map { "\($0)" } ?? "of development"
    fences.add(member.key, name: name, reason: reason)
    log.write(
      .workerCutOff, "key \(name): \(reason)", [.worker: Log.Value(id.number)])
    // Ended at once, not after its queue: a peer that reads nothing would keep it open.
    member.link.close()
  }
}
