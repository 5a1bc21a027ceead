import CoordinatorCore
import Hashing
import WireFormat

extension WorkerMachine {
  /// What can be asked for under a request number.
  enum Fetch {
    enum Owner: Sendable {
      case lease
      case question
    }

    enum Part: Sendable {
      case slice(Int)
      case ancestor(Int)
      case checkpoint
      case member(Digest)

      var owner: Owner {
        switch self {
        case .slice, .ancestor, .checkpoint: .lease
        case .member: .question
        }
      }
    }

    /// How much an owner waits for.
    struct Wait: Sendable {
      var count = 0
      /// When something was asked for, or came, last.
      var since: Milliseconds = 0
    }
  }

  mutating func ask(_ message: WireMessage, for part: Fetch.Part) {
    lastRequest += 1
    fetches[lastRequest] = part
    waits[part.owner, default: Fetch.Wait()].count += 1
    waits[part.owner]?.since = now
    send(message, request: lastRequest)
  }

  func isFetching(for owner: Fetch.Owner) -> Bool { waits[owner]?.count ?? 0 > 0 }

  /// Takes an answer to whom it belongs; one that nobody waits for is dropped.
  mutating func accept(_ message: WireMessage, request: UInt64) {
    guard let part = fetches.removeValue(forKey: request) else { return }
    waits[part.owner]?.count -= 1
    waits[part.owner]?.since = now
    switch part {
    case .slice, .ancestor, .checkpoint: supply(part, with: message)
    case .member(let digest): supplyQuestion(digest, with: message)
    }
  }

  /// Since when nothing has come for somebody who waits; the longest wait of all.
  var waitingSince: Milliseconds? {
    var oldest = waits.values.filter { $0.count > 0 }.map(\.since).min()
    if case .uploading(let offer) = lease?.phase, offer.nextAt == nil {
      oldest = min(oldest ?? offer.sentAt, offer.sentAt)
    }
    return oldest
  }
}
