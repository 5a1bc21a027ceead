import CoordinatorAPI
import CoordinatorCore
import Hashing
import Ledger
import ServiceSupport
import Storage
import SystemIO
import Unlearning
import WireFormat

extension CoordinatorService {
  /// Recomputes every key from the records on disk and every artifact's digest from its bytes, and
  /// looks whether each artifact is a block of its place.
  func verify() -> VerificationReport { directory.readers.reading { recomputed() } }

  private func recomputed() -> VerificationReport {
    let state = loop.inspect { $0.state }
    var problems: [String] = []
    // A state built anew from the slice files: it shares no derived value with the running one.
    var recomputed: [BlockSlot: BlockKey] = [:]
    do {
      var fresh = try RunState(state.run)
      let slices = try state.locations.map { location in
        let records = try directory.readSlice(location)
          .filter { state.deletedTags[directory.tag($0.id)] == nil }
        return SliceSummary(location: location, contents: SliceState(records.map(\.digest)))
      }
      fresh.apply(.ingested(slices))
      if let numericClass = state.numericClass { fresh.apply(.numericClassPinned(numericClass)) }
      fresh.refreshKeys()
      recomputed = fresh.expectedKeys
    } catch {
      problems.append("the records cannot be read: \(error)")
    }
    var report = VerificationReport(
      blocksChecked: 0, keysMatch: 0, bitsChecked: 0, bitsMatch: 0, problems: [])
    for slot in state.plan.allSlots {
      guard let key = state.standing[slot], let block = state.blocks[key] else { continue }
      report.blocksChecked += 1
      let place = "shard \(slot.shard), sequence \(slot.sequence), stage \(slot.stage)"
      if recomputed[slot] == block.key {
        report.keysMatch += 1
      } else {
        problems.append("\(place): the key is not the one the records on disk give")
      }
      do {
        _ = try directory.artifacts.get(block.artifact)
        if let gate, let problem = OpenedRun.problem(of: block, at: slot, state, directory, gate) {
          problems.append("\(place): \(problem)")
        }
      } catch {
        problems.append("\(place): the artifact cannot be trusted: \(error)")
      }
    }
    if gate == nil {
      problems.append("the backbone's shape cannot be read, so no artifact could be looked into")
    }
    do {
      problems += try uncataloguedFiles().map { "\($0) is in no catalogue: nothing explains it" }
    } catch {
      problems.append("the directory cannot be listed: \(error)")
    }
    lookAtSalts()
    report.problems = problems + [saltAlarm].compactMap { $0 } + loop.inspect { $0.alarms }
    return report
  }

  /// Has training begin, in the class that is wished for where one is.
  func train(_ wish: TrainingWish) throws -> RunStatus {
    if let numericClass = wish.numericClass {
      guard numericClass.isNumericClass else {
        throw APIFailure(
          422, "that is not a numeric class",
          try: "give the line that lethe doctor shows on the workers' machine")
      }
      loop.post(.classRequested(numericClass))
      guard loop.inspect({ $0.state.numericClass == numericClass }) else {
        throw APIFailure(
          409, "blocks have been trained, and their keys name the run's numeric class",
          try: "make a new run for another class")
      }
    }
    loop.post(.trainingRequested)
    return status()
  }

  func audit(_ request: AuditRequest) throws -> AuditReport {
    guard (0...1).contains(request.share) else {
      throw APIFailure(400, "the share is not between 0 and 1")
    }
    let seed = SystemRandom.bytes(count: 8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    loop.post(.auditRequested(share: request.share, seed: seed))
    return loop.inspect { $0.audit.report }
  }

  /// Why a slot's block has been trained more than once, field by field of its key.
  func history(of text: String) throws -> BlockHistory {
    try ask { try self.history(of: text, $0) }
  }

  private func history(of text: String, _ coordinator: Coordinator) throws -> BlockHistory {
    let state = coordinator.state
    let slot = try slot(text, state)
    let (word, reason) = stateWords(slot, coordinator)
    let read = state.plan.slicesRead(by: slot)
    let ancestors = state.plan.sequences[slot.sequence].order.prefix(slot.stage - 1)
    var losses: [(at: Milliseconds, loss: BlockHistory.Loss)] = []
    for deletion in state.deletions
    where deletion.masked.contains(where: { BlockSlot($0.place) == slot }) {
      let changed = Set(
        deletion.locations.filter { $0.shard == slot.shard }.map(\.slice))
      losses.append(
        (
          deletion.acceptedAt,
          BlockHistory.Loss(
            at: Timestamp.text(deletion.acceptedAt), cause: "deletion \(deletion.number)",
            fields: fields(
              parent: ancestors.contains { changed.contains($0) }, slices: read, changed: changed))
        ))
    }
    if let withdrawal = state.withdrawals[slot] {
      let cause =
        switch withdrawal.cause {
        case .quarantined: "quarantined"
        case .artifactLost: "artifact lost"
        case .disputed: "disputed"
        }
      losses.append(
        (
          withdrawal.at,
          BlockHistory.Loss(
            at: Timestamp.text(withdrawal.at), cause: cause,
            fields: fields(parent: false, slices: read, changed: []))
        ))
    }
    return BlockHistory(
      key: state.expectedKeys[slot]?.description, shard: slot.shard, sequence: slot.sequence,
      stage: slot.stage, state: word, reason: reason,
      losses: losses.sorted { $0.at < $1.at }.map(\.loss))
  }

  private func fields(parent: Bool, slices: [Int], changed: Set<Int>) -> [BlockHistory.Field] {
    let fixed = ["numericClass", "backbone", "recipe", "layers", "seed"].map {
      BlockHistory.Field(name: $0, changed: false)
    }
    return fixed + [BlockHistory.Field(name: "parent", changed: parent)]
      + slices.map { slice in
        BlockHistory.Field(
          name: "slice \(slice)", changed: changed.contains(slice),
          detail: changed.contains(slice) ? "lost records" : nil)
      }
  }

  /// A slot by `shard/sequence/stage`, or by its present key or the key's first digits.
  private func slot(_ text: String, _ state: RunState) throws -> BlockSlot {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { $0.isDigits ? Int($0) : nil }
    if parts.count == 3, numbers.count == 3 {
      let slot = BlockSlot(shard: numbers[0], sequence: numbers[1], stage: numbers[2])
      guard (0..<state.plan.shardCount).contains(slot.shard),
        state.plan.sequences.indices.contains(slot.sequence),
        (1...state.plan.sliceCount).contains(slot.stage)
      else { throw APIFailure(404, "the run has no block at \(text)") }
      return slot
    }
    return try self.slot(keyPrefix: text, state)
  }
}

extension AuditProgress {
  var report: AuditReport {
    AuditReport(
      checked: checked, matched: matched, waiting: waiting.count, repeated: repeated,
      abandoned: abandoned, matchRate: matchRate)
  }
}
