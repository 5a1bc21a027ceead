import CoordinatorCore
import ServiceSupport
import Unlearning

extension JournalEntry {
  /// Tells operators what has become durable, as far as they should know.
  func write(to log: Log) {
    switch self {
    case .trainingRequested: log.write(.trainingRequested)
    case .committed(let block):
      log.write(
        .blockCommitted, "\(block.worker) trained \(block.slot.place)",
        [
          .block: Log.Value(block.key), .shard: Log.Value(block.slot.shard),
          .sequence: Log.Value(block.slot.sequence), .stage: Log.Value(block.slot.stage),
          .durationMilliseconds: Log.Value(seconds: block.work.seconds),
        ])
    case .deleted(let deletion):
      log.write(
        .deletionAccepted, nil,
        [
          .deletion: Log.Value(deletion.number), .records: Log.Value(deletion.tags.count),
          .blocks: Log.Value(deletion.masked.count),
        ])
    case .purged(let number, _, _, _):
      log.write(.deletionPurged, nil, [.deletion: Log.Value(number)])
    case .repaired(let number, _):
      log.write(.deletionRepaired, nil, [.deletion: Log.Value(number)])
    case .certified(let number, _, _):
      log.write(.deletionCertified, nil, [.deletion: Log.Value(number)])
    case .quarantined(let key, _): log.write(.blockQuarantined, nil, [.block: Log.Value(key)])
    case .disputed(let key, _, _): log.write(.blockDisputed, nil, [.block: Log.Value(key)])
    case .artifactLost(let key, _): log.write(.artifactLost, nil, [.block: Log.Value(key)])
    case .numericClassPinned(let numericClass): log.write(.classPinned, numericClass)
    // What nobody has to look at, and what whoever does it tells himself.
    case .created, .ingested, .started, .snapshotTaken, .copied, .copyRemoved, .restored,
      .workersCutOff, .noted:
      break
    }
  }
}

extension Log.Value {
  /// The first digits of a block's key, as `lethe lineage` shows them.
  init(_ key: BlockKey) { self = .text(String(key.description.prefix(12))) }
}
