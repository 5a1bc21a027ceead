import CoordinatorCore
import Hashing
import Ledger
import Testing
import Unlearning

/// One test for each check that nothing else would miss; `ops/mutants` removes them one by one.
@Suite("Coordinator guarantees") struct GuaranteeTests {
  static let introduction = Introduction(
    name: "w", host: "h", numericClass: "c", backbone: SHA256.hash([9]), roles: [.train, .serve])

  static func proof(_ head: LedgerHead?) -> PeerProof { PeerProof(Bench.identity("h"), head: head) }

  static func trained(_ policy: RepairPolicy = .manual) throws -> Bench {
    var bench = try Bench(policy)
    bench.join(1)
    bench.trainAll()
    return bench
  }

  /// Files and the one worker are clean of whatever the current order names.
  static func purge(_ bench: inout Bench) {
    while let purge = bench.coordinator.purge {
      bench.erase(purge.order)
      bench.handle(.purgeFinished(throughDeletion: purge.order.throughDeletion))
      for id in bench.coordinator.workers.keys.sorted() {
        bench.handle(.purgeConfirmed(id, throughDeletion: purge.order.throughDeletion))
      }
    }
  }

  @Test("an idempotency key gives its request one answer for ever, and other records none")
  func idempotency() throws {
    var bench = try Self.trained()
    let (key, tag) = (SHA256.hash([1]), Bench.tag(0, 1, 0))
    let first = bench.handle(.deletionRequested(token: 1, Bench.wish([tag, tag], key: key)))
    let answer = DeletionDecision.decided([.accepted(1), .duplicate(of: 1)], blocksMasked: 3)
    #expect(first.effects.contains(.deletionDecided(1, answer)))
    Self.purge(&bench)
    bench.trainAll()
    let again = bench.handle(.deletionRequested(token: 2, Bench.wish([tag, tag], key: key)))
    #expect(again.effects.contains(.deletionDecided(2, answer)) && again.entries.isEmpty)
    let other = bench.handle(
      .deletionRequested(token: 3, Bench.wish([Bench.tag(0, 1, 1)], key: key)))
    #expect(other.effects.contains(.deletionDecided(3, .keyIsTaken)) && other.entries.isEmpty)
    #expect(bench.coordinator.state.deletions.count == 1)
  }

  @Test("a plan made before the state moved on is stale, and changes nothing")
  func stalePlan() throws {
    var bench = try Self.trained()
    let tag = Bench.tag(1, 0, 0)
    let plan = bench.coordinator.deletionPlan(for: [tag]).fingerprint
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(1, 0, 1)])))
    let stale = bench.handle(.deletionRequested(token: 2, Bench.wish([tag], plan: plan)))
    #expect(stale.effects.contains(.deletionDecided(2, .planIsStale)) && stale.entries.isEmpty)
    let renewed = bench.coordinator.deletionPlan(for: [tag]).fingerprint
    #expect(renewed != plan)
    bench.handle(.deletionRequested(token: 3, Bench.wish([tag], plan: renewed)))
    #expect(bench.coordinator.state.deletions.count == 2)
  }

  @Test("a plan says what the deletion then does, in any state", arguments: UInt64(0)..<24)
  func planComesTrue(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var bench = try Bench(.manual)
    bench.join(1)
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    for _ in 0..<Int.random(in: 0...8, using: &random) { bench.finishLeases() }
    while bench.coordinator.records.count > 0 {
      let before = bench.coordinator.state
      let count = Int.random(in: 1...3, using: &random)
      let tags = Array(
        bench.coordinator.records.tags.sorted().shuffled(using: &random).prefix(count))
      let plan = bench.coordinator.deletionPlan(for: tags)
      bench.handle(
        .deletionRequested(token: 1, Bench.wish(tags, plan: plan.fingerprint)))
      let after = bench.coordinator.state
      #expect(after.deletions.count == before.deletions.count + 1)
      let lost = before.plan.allSlots.filter {
        before.block(at: $0) != nil && after.block(at: $0) == nil
      }
      #expect(plan.maskedSlots == lost && after.deletions.last?.locations == plan.locations)
      #expect(after.deletions.last?.masked.count == lost.count)
      for shard in plan.shards {
        #expect(shard.depthBefore == before.servedPrefix(shard: shard.shard)?.depth ?? 0)
        #expect(shard.depthAfter == after.servedPrefix(shard: shard.shard)?.depth ?? 0)
      }
      for slot in lost {
        let records = after.plan.slicesRead(by: slot).reduce(0) {
          $0 + after.slices[slot.shard][$1].recordCount
        }
        #expect(plan.examples[slot] == records * after.run.recipe.epochs)
      }
      if Bool.random(using: &random) { bench.trainAll() }
    }
  }

  @Test("finds a person's records and exact duplicates, and only live ones")
  func indexes() throws {
    let (person, payload) = (LookupTag(7), LookupTag(8))
    let tags = (0..<4).map { Bench.tag(0, 0, $0) }
    let records = tags.enumerated().map { index, tag in
      IngestedRecord(
        tag: tag, digest: SHA256.hash([UInt8(index)]),
        payload: index < 3 ? payload : LookupTag(1), subject: index > 0 ? person : nil)
    }
    var bench = try Bench(
      run: Bench.run,
      slices: [IngestedSlice(location: SliceLocation(shard: 0, slice: 0), records: records)])
    func check(_ ofPerson: Set<RecordTag>, _ others: [Set<RecordTag>]) throws {
      // The index as it was changed, and as a restart makes it.
      for index in [bench.coordinator.records, try bench.restartedRecords()] {
        #expect(index.tags(ofSubject: person) == ofPerson)
        #expect(tags.map(index.duplicates) == others)
        #expect(tags.map(index.duplicateCount) == others.map(\.count))
        #expect(Set(index.tags) == Set(tags.filter { index[$0] != nil }))
      }
    }
    func delete(_ index: Int) {
      bench.handle(.deletionRequested(token: 1, Bench.wish([tags[index]])))
    }
    try check(
      Set(tags[1...]), [Set(tags[1...2]), [tags[0], tags[2]], [tags[0], tags[1]], []])
    delete(1)
    try check(Set(tags[2...]), [[tags[2]], [], [tags[0]], []])
    delete(2)
    delete(3)
    try check([], [[], [], [], []])
    #expect(bench.coordinator.records[tags[0]]?.location == SliceLocation(shard: 0, slice: 0))
  }

  @Test("counts a payload that very many records have as they leave", arguments: [15, 16, 17, 40])
  func crowd(size: Int) throws {
    let location = SliceLocation(shard: 1, slice: 1)
    let records = (0..<size + 3).map { number in
      IngestedRecord(
        tag: Bench.tag(1, 1, number), digest: SHA256.hash([UInt8(number)]),
        payload: LookupTag(number < size ? 5 : 6))
    }
    var bench = try Bench(
      run: Bench.run, slices: [IngestedSlice(location: location, records: records)])
    for left in (0...size).reversed() {
      for index in [bench.coordinator.records, try bench.restartedRecords()] {
        for record in records {
          #expect(index.duplicateCount(of: record.tag) == index.duplicates(of: record.tag).count)
        }
        #expect(index.duplicateCount(of: records[size].tag) == 2)
        if left > 0 { #expect(index.duplicateCount(of: records[left - 1].tag) == left - 1) }
      }
      guard left > 0 else { break }
      bench.handle(.deletionRequested(token: 1, Bench.wish([records[left - 1].tag])))
    }
  }

  @Test("certifies what is purged and repaired, in a ledger that only grows")
  func certificates() throws {
    var bench = try Self.trained()
    var ledgers = [bench.coordinator.state.ledger]
    for number in 0..<3 {
      bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 0, number)])))
      ledgers.append(bench.coordinator.state.ledger)
      #expect(bench.coordinator.state.deletions[number].state == .masked)
      Self.purge(&bench)
      #expect(bench.coordinator.state.deletions[number].state == .purged)
      bench.trainAll()
      ledgers.append(bench.coordinator.state.ledger)
      let deletion = bench.coordinator.state.deletions[number]
      #expect(deletion.state == .certified && deletion.erasure.map(\.location).contains("slices"))
      #expect(deletion.replacements.count == deletion.masked.count)
    }
    #expect(ledgers.map { $0.leaves.count } == Array(0...6))
    #expect(
      bench.coordinator.state.ledger.leaves == [
        .deletion(1), .certificate(1), .deletion(2), .certificate(2), .deletion(3),
        .certificate(3),
      ])
    for (size, ledger) in ledgers.enumerated() {
      for other in ledgers { #expect(ledger.extends(other.head) == (other.head.size <= size)) }
      #expect(!ledger.extends(LedgerHead(size: UInt64(size), root: SHA256.hash([3]))))
    }
    #expect(bench.coordinator.state.openDeletions.isEmpty)
  }

  @Test("audits every block once more, and tells the same bits from others")
  func audit() throws {
    var bench = try Self.trained()
    // It cannot train here, so the one that can audits its own blocks.
    bench.join(2, numericClass: "other")
    bench.handle(.auditRequested(share: 1, seed: 5))
    #expect(bench.coordinator.audit.waiting.count == 8)
    #expect(bench.coordinator.audit.matchRate == nil)
    for turn in 0..<8 {
      let lease = try #require(bench.coordinator.leases.all.first)
      let key = lease.key
      let artifact = turn == 7 ? SHA256.hash([42]) : nil
      // Someone else's upload is no audit.
      bench.handle(.uploaded(WorkerID(2), Bench.upload(key, lease.epoch)))
      let step = bench.handle(
        .uploaded(WorkerID(1), Bench.upload(key, lease.epoch, artifact: artifact)))
      let refusal: UploadRefusal = turn == 7 ? .alreadyCommitted : .confirmed
      #expect(step.effects.contains(.refused(WorkerID(1), lease.epoch, refusal)))
      bench.handle(.workRequested(WorkerID(1)))
    }
    let audit = bench.coordinator.audit
    #expect(audit.waiting.isEmpty && audit.checked == 8 && audit.matched == 7)
    #expect(audit.matchRate == 7 / 8 && bench.coordinator.alarms.count == 1)
    #expect(bench.trainedCount == 8 - 1)
  }

  @Test("a worker that has seen a ledger this one does not extend silences the coordinator")
  func behind() throws {
    var bench = try Self.trained()
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 0, 0)])))
    let head = bench.coordinator.state.ledger.head
    var honest = bench
    honest.handle(.workerJoined(WorkerID(5), Self.introduction, Self.proof(head)))
    #expect(!honest.coordinator.isBehind && honest.coordinator.alarms.isEmpty)
    honest.handle(.trainingRequested)
    honest.handle(.workRequested(WorkerID(5)))
    #expect(!honest.coordinator.leases.isEmpty)
    let newer = LedgerHead(size: head.size + 1, root: head.root)
    let forked = LedgerHead(size: head.size, root: SHA256.hash([1]))
    for other in [newer, forked] {
      var bench = bench
      // Without the run's own tag a head is not even looked at.
      var invented = Self.introduction
      invented.head = AttestedHead(other, tag: SHA256.hash([7]))
      bench.handle(.workerJoined(WorkerID(4), invented, Self.proof(nil)))
      #expect(!bench.coordinator.isBehind && bench.coordinator.alarms.isEmpty)
      bench.handle(.workerJoined(WorkerID(5), Self.introduction, Self.proof(other)))
      #expect(bench.coordinator.isBehind && bench.coordinator.alarms.count == 1)
      bench.handle(.trainingRequested)
      for id in bench.coordinator.workers.keys.sorted() { bench.handle(.workRequested(id)) }
      #expect(bench.coordinator.leases.isEmpty, "it gives out no work either")
    }
  }

  @Test("nobody uploads on another worker's lease, nor holds two")
  func leases() throws {
    var bench = try Bench()
    bench.join(1)
    bench.join(2)
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    bench.handle(.workRequested(WorkerID(1)))
    #expect(bench.coordinator.leases.count == 1)
    let lease = try #require(bench.coordinator.leases.all.first)
    let key = lease.key
    let step = bench.handle(.uploaded(WorkerID(2), Bench.upload(key, lease.epoch)))
    #expect(step.effects.contains(.refused(WorkerID(2), lease.epoch, .staleLease)))
    #expect(bench.coordinator.state.blocks.isEmpty)
  }

  @Test("nobody renews or gives up another worker's lease")
  func beats() throws {
    var bench = try Bench()
    bench.join(1)
    bench.join(2)
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    let lease = try #require(bench.coordinator.leases.all.first)
    let key = lease.key
    let beat = bench.handle(
      .heartbeat(WorkerID(2), epoch: lease.epoch, StageProgress(step: 1, totalSteps: 2)))
    #expect(beat.effects == [.cancel(WorkerID(2), lease.epoch)])
    bench.handle(
      .failed(WorkerID(2), epoch: lease.epoch, Failure(kind: .fatal, reason: "not mine")))
    #expect(bench.coordinator.leases[key] == lease && bench.coordinator.failures.isEmpty)
  }

  @Test("a worker's answer to an earlier purge is none to this one")
  func confirmations() throws {
    var bench = try Self.trained()
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 1, 0)])))
    Self.purge(&bench)
    bench.handle(.deletionRequested(token: 2, Bench.wish([Bench.tag(0, 1, 1)])))
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1))
    bench.handle(.purgeFinished(throughDeletion: 2))
    #expect(bench.coordinator.state.deletions[1].purgedAt == nil)
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 2))
    #expect(bench.coordinator.state.deletions[1].purgedAt != nil)
  }

  @Test("a block under another key than the records' never serves, whoever committed it")
  func wrongKey() throws {
    var state = try Self.trained().coordinator.state
    let slot = BlockSlot(shard: 0, sequence: 0, stage: 1)
    state.apply(
      .committed(
        CommittedBlock(
          key: BlockKey(SHA256.hash([1])), slot: slot, artifact: SHA256.hash([2]), byteCount: 1,
          worker: "w",
          work: TrainingWork(steps: 1, examples: 1, seconds: 1, gemmSeconds: 1, finalLoss: 1),
          at: 1)))
    state.refreshKeys()
    #expect(state.block(at: slot) == nil)
    #expect(state.servedPrefix(shard: 0)?.sequence == 1)
  }

  @Test("every artifact that saw the record is ordered away, and nothing else")
  func artifacts() throws {
    var bench = try Self.trained()
    let before = bench.coordinator.state
    let slots = before.plan.slots(dependingOn: SliceLocation(shard: 0, slice: 1))
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 1, 0)])))
    let order = try #require(bench.coordinator.purge?.order)
    #expect(order.artifacts == slots.compactMap { before.block(at: $0)?.artifact }.sorted())
    #expect(order.slices == [SliceLocation(shard: 0, slice: 1)])
    #expect(order.rows.map { bench.coordinator.records.table.location(ofRow: $0) } == order.slices)
    #expect(slots.allSatisfy { bench.coordinator.state.standing[$0] == nil })
    #expect(slots.allSatisfy { bench.coordinator.state.maskedSince[$0] != nil })
  }

  @Test("a slice that another deletion made dirty meanwhile stays to be purged")
  func dirtyAgain() throws {
    var bench = try Self.trained()
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 1, 0)])))
    bench.handle(.deletionRequested(token: 2, Bench.wish([Bench.tag(0, 1, 1)])))
    bench.handle(.purgeFinished(throughDeletion: 1))
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1))
    let state = bench.coordinator.state
    #expect(state.deletions[0].purgedAt != nil && state.deletions[1].purgedAt == nil)
    #expect(state.slicesToPurge == [SliceLocation(shard: 0, slice: 1)])
    #expect(bench.coordinator.purge?.order.throughDeletion == 2)
    // An answer to the first order is none to the second.
    bench.handle(.purgeFinished(throughDeletion: 1))
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 2))
    #expect(bench.coordinator.state.deletions[1].purgedAt == nil)
  }

  @Test("a purge waits for the files, not only for the workers")
  func filesFirst() throws {
    var bench = try Self.trained()
    bench.handle(.deletionRequested(token: 1, Bench.wish([Bench.tag(0, 1, 0)])))
    bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: 1))
    #expect(bench.coordinator.state.deletions[0].purgedAt == nil)
    bench.handle(.purgeFinished(throughDeletion: 1))
    #expect(bench.coordinator.state.deletions[0].purgedAt != nil)
  }

  @Test("bytes on their way out that a block names again are kept")
  func wantedAgain() throws {
    var state = try Self.trained().coordinator.state
    let block = try #require(state.blocks.values.min { $0.key < $1.key })
    state.apply(.artifactLost(block.key, at: 1))
    #expect(state.artifactsToPurge == [block.artifact])
    state.apply(.committed(block))
    #expect(state.artifactsToPurge.isEmpty && state.artifactUses[block.artifact] == 1)
  }

  @Test(
    "a snapshot is the state, whatever happened, and holds no deleted record",
    arguments: UInt64(0)..<16)
  func snapshot(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var state = try Self.trained().coordinator.state
    var slices = Bench.slices
    var gone: [Digest] = []
    for turn in 0..<30 {
      let at = Milliseconds(turn)
      switch Int.random(in: 0..<6, using: &random) {
      case 0:
        let place = Int.random(in: slices.indices, using: &random)
        guard let record = slices[place].records.popLast() else { break }
        let earlier = state.slices[slices[place].location.shard][slices[place].location.slice]
        gone += [record.digest, earlier.digest]
        state.apply(
          .deleted(
            AcceptedDeletion(
              number: UInt64(state.deletions.count + 1), tags: [record.tag],
              commitments: [SHA256.hash([0])], slices: [slices[place].summary], masked: [],
              at: at, due: at,
              requestKey: Bool.random(using: &random) ? record.tag.digest : nil,
              requestFingerprint: SHA256.hash([]))))
      case 1:
        guard let key = state.blocks.keys.sorted().randomElement(using: &random) else { break }
        state.apply(.artifactLost(key, at: at))
      case 2:
        guard let key = state.blocks.keys.sorted().randomElement(using: &random) else { break }
        state.apply(.quarantined(key, at: at))
      case 3:
        state.apply(
          .copied(
            OutsideCopy(
              kind: turn % 2 == 0 ? .export : .backup, path: "p\(turn % 5)",
              artifacts: [SHA256.hash([1])], at: at)))
      case 4: state.apply(.copyRemoved(path: "p\(turn % 5)", at: at))
      default: state.apply(.restored(lostEntries: 1, at: at))
      }
      state.refreshKeys()
      let bytes = state.encoded
      try #require(try RunState(encoded: bytes) == state)
      for digest in gone {
        try #require(!bytes.contains(digest.bytes), "what a deleted record was hashed to is kept")
      }
    }
  }
}
