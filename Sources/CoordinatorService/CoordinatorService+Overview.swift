import CoordinatorAPI
import CoordinatorCore
import Foundation
import HTTP
import ServiceSupport
import SystemIO
import Unlearning

extension CoordinatorService {
  /// `GET /v1/runs`
  func runs() -> RunList {
    let (run, layout, origin) = loop.inspect { coordinator in
      let state = coordinator.state
      return (state.run.name, state.plan.layout.rawValue, state.origin)
    }
    return RunList(runs: [
      RunList.Item(name: run, layout: layout, version: ProductVersion.text, origin: origin)
    ])
  }

  /// `GET /v1/plan`
  func planDescription() -> PlanDescription {
    let plan = loop.inspect { $0.state.plan }
    return PlanDescription(
      shards: plan.shardCount, slices: plan.sliceCount, sequences: plan.sequences.map(\.order),
      layerGroups: plan.layerGroups.map(Array.init), stageData: plan.stageData.rawValue)
  }

  /// `GET /v1/shards/{shard}`
  func shard(_ text: String) throws -> RunStatus.Shard {
    let shards = status().shards
    return shards[try Self.shard(text, of: shards.count)]
  }

  /// A shard's number as a client wrote it.
  static func shard(_ text: String, of count: Int) throws -> Int {
    guard text.isDigits, let shard = Int(text), shard < count
    else {
      throw APIFailure(
        404, "there is no shard \(text.prefix(32))", try: "shards are 0 to \(count - 1)")
    }
    return shard
  }

  /// Blocks in one answer.
  private static let maximumBlockCount = 10_000

  /// `GET /v1/blocks`, of one shard or of all.
  func blocks(ofShard text: String?) throws -> BlockList {
    try ask { coordinator in
      let plan = coordinator.state.plan
      let shards =
        try text.map { text in
          let shard = try Self.shard(text, of: plan.shardCount)
          return shard..<shard + 1
        } ?? 0..<plan.shardCount
      guard shards.count * plan.sequenceCount * plan.sliceCount <= Self.maximumBlockCount else {
        throw APIFailure(
          413, "there are more than \(Self.maximumBlockCount) blocks", try: "ask for one shard")
      }
      return BlockList(
        blocks: shards.flatMap { shard in
          plan.slots(ofShard: shard).sorted().map { slot in
            let (state, reason) = self.stateWords(slot, coordinator)
            return BlockList.Item(
              shard: shard, sequence: slot.sequence, stage: slot.stage, state: state,
              reason: reason, key: coordinator.state.expectedKeys[slot]?.description)
          }
        })
    }
  }
}

// MARK: - Events

/// One document of the stream of events.
struct EventDocument: Sendable, Equatable {
  /// The last word of the path that answers the same.
  var name: String
  var body: [UInt8]
}

extension CoordinatorService {
  private static let eventSeconds = 0.5
  private static let silenceSeconds = 10.0
  /// What a page shows, and so what it is sent again with every change.
  private static let followedDeletionCount = 100

  /// `GET /v1/events`: server-sent events, each a document whenever it has changed.
  func events(_ request: HTTPRequest) -> HTTPResponse {
    HTTPResponse(status: 200, contentType: "text/event-stream", body: []) { [self] send in
      var shown: [String: [UInt8]] = [:]
      var last = SystemClock.seconds
      // A key that is revoked sees no more.
      while may(request, .look) {
        for document in currentDocuments() where shown[document.name] != document.body {
          shown[document.name] = document.body
          try send(Array("event: \(document.name)\ndata: ".utf8) + document.body + [10, 10])
          last = SystemClock.seconds
        }
        if SystemClock.seconds - last > Self.silenceSeconds {
          try send(Array(": nothing new\n\n".utf8))
          last = SystemClock.seconds
        }
        SystemClock.sleep(seconds: Self.eventSeconds)
      }
    }
  }

  /// Made once for everybody who follows.
  private func currentDocuments() -> [EventDocument] {
    latestDocuments.withLock { latest in
      if SystemClock.seconds - latest.at > Self.eventSeconds * 0.8 {
        var documents = [
          EventDocument(name: "status", body: HTTPResponse(status()).body),
          EventDocument(
            name: "deletions",
            body: HTTPResponse(deletionList(last: Self.followedDeletionCount)).body),
        ]
        // A grid that is too large for one answer is too large for a page.
        if let blocks = try? blocks(ofShard: nil) {
          documents.append(EventDocument(name: "blocks", body: HTTPResponse(blocks).body))
        }
        latest = (SystemClock.seconds, documents)
      }
      return latest.documents
    }
  }
}
