import ByteCoding
import CoordinatorAPI
import CoordinatorCore
import HTTP
import Hashing
import Ledger
import ServiceSupport
import Storage
import SystemIO
import Unlearning

/// A request's ids with what the run knows of them.
private struct Selection {
  /// As the client wrote them, and then those that a subject or a payload led to.
  var texts: [String]
  /// `nil` where the text cannot be an id.
  var ids: [RecordID?]

  /// Adds what was found, in an order of its own.
  mutating func add(_ found: [RecordID]) {
    for id in found.sorted() {
      texts.append(id.text)
      ids.append(id)
    }
  }
}

extension CoordinatorService {
  private static let maximumIDCount = 100_000

  /// Masks records: returns once the deletion is durable and nothing serves what it touched.
  ///
  /// - Parameter askedBy: The name of the key.
  func delete(
    _ request: CoordinatorAPI.DeletionRequest, idempotencyKey: String?, askedBy: String
  ) throws -> DeletionResponse {
    let start = SystemClock.seconds
    let origin = try Self.origin(request, askedBy: askedBy)
    let selection = try select(request)
    let terms = try Self.terms(request, idempotencyKey: idempotencyKey)
    let valid = selection.ids.compactMap { $0 }
    let tags = valid.map(directory.tag)
    let duplicates = loop.inspect { coordinator in
      tags.map { coordinator.records.duplicateCount(of: $0) }
    }
    let salt = Digest(SystemRandom.bytes(count: Digest.byteCount))!
    let due = (terms.deadline ?? deadline).due(acceptedAt: SystemClock.wallMilliseconds)
    let wish = DeletionWish(
      tags: tags,
      commitments: valid.map { id in
        IDCommitment.commitment(
          salt: IDCommitment.salt(deletionSalt: salt, id: id.bytes), id: id.bytes)
      },
      salt: salt, due: due, requestKey: terms.key.map(directory.requestKey),
      expectedPlan: terms.expectedPlan, origin: origin)
    let outcomes: [DeletionOutcome]
    let blocksMasked: Int
    switch decide(wish) {
    case .decided(let decided, let masked): (outcomes, blocksMasked) = (decided, masked)
    case .planIsStale:
      throw APIFailure(
        409, "the run has changed since the plan was made; nothing was deleted",
        try: "make a new plan with --dry-run")
    case .keyIsTaken:
      throw APIFailure(
        422, "the idempotency key belongs to a request for other records; nothing was deleted",
        try: "use a fresh key for every request")
    }
    let milliseconds = (SystemClock.seconds - start) * 1000
    let numbers = Set(outcomes.compactMap(\.deletion))
    let states = loop.inspect { coordinator in
      Dictionary(
        uniqueKeysWithValues: numbers.map { number in
          let deletion = coordinator.state.deletion(number)
          let state = coordinator.state.progress(of: deletion)
          return (number, (state: state.rawValue, due: deletion.due))
        })
    }
    var next = zip(outcomes, duplicates).makeIterator()
    return DeletionResponse(
      requests: zip(selection.texts, selection.ids).map { text, id in
        guard id != nil, let (outcome, duplicates) = next.next() else {
          return DeletionResponse.Item(
            id: text, outcome: .invalid, state: "rejected", blocksMasked: 0,
            acknowledgedAfterMs: milliseconds, deletion: nil)
        }
        let state = outcome.deletion.flatMap { states[$0] }
        var masked = 0
        if case .accepted = outcome { masked = blocksMasked }
        return DeletionResponse.Item(
          id: text, outcome: outcome.word, state: state?.state ?? "rejected",
          blocksMasked: masked, acknowledgedAfterMs: milliseconds, deletion: outcome.deletion,
          duplicatesElsewhere: duplicates, due: state.map { Timestamp.text($0.due) })
      })
  }

  /// What a request says besides whom it is about.
  private static func terms(
    _ request: CoordinatorAPI.DeletionRequest, idempotencyKey: String?
  ) throws -> (deadline: DeadlinePolicy?, key: String?, expectedPlan: Digest?) {
    let deadline = try request.deadline.map { text in
      guard let policy = DeadlinePolicy(text) else {
        throw APIFailure(
          400, "\"\(text.prefix(64))\" is no deadline", try: "write gdpr, ccpa or days:N")
      }
      return policy
    }
    let key = idempotencyKey ?? request.idempotencyKey
    guard key.map({ (1...255).contains($0.utf8.count) }) ?? true else {
      throw APIFailure(400, "an idempotency key has 1 to 255 bytes")
    }
    let plan = try request.expectedPlan.map { text in
      guard let digest = Digest(hex: text) else {
        throw APIFailure(400, "expectedPlan is not a plan's fingerprint")
      }
      return digest
    }
    return (deadline, key, plan)
  }

  /// What a request would do.
  func plan(_ request: CoordinatorAPI.DeletionRequest) throws -> DeletionPlanReport {
    let selection = try select(request)
    // What would be refused then is refused now.
    _ = try Self.terms(request, idempotencyKey: nil)
    let tags = selection.ids.map { $0.map(directory.tag) }
    return loop.inspect { coordinator in
      let plan = coordinator.deletionPlan(for: tags.compactMap { $0 })
      let isLive = tags.map { $0.map { coordinator.records[$0] != nil } ?? false }
      func texts(_ live: Bool) -> [String] {
        zip(selection.texts, isLive).filter { $0.1 == live }.map(\.0)
      }
      return DeletionPlanReport(
        ids: texts(true), unknown: texts(false), blocksMasked: plan.maskedSlots.count,
        shards: plan.shards.map {
          DeletionPlanReport.Shard(
            shard: $0.shard, depthBefore: $0.depthBefore, depthAfter: $0.depthAfter)
        }, stagePasses: plan.stagePasses, secondsToRepair: coordinator.secondsToRepair(plan),
        fingerprint: plan.fingerprint.hex)
    }
  }

  /// The ids a request names, by themselves, by their subject, or as duplicates of the others.
  private func select(_ request: CoordinatorAPI.DeletionRequest) throws -> Selection {
    var selection = Selection(texts: request.ids, ids: request.ids.map { try? RecordID($0) })
    let subject = try request.subject.map { text in
      guard let subject = try? RecordID(text) else {
        throw APIFailure(400, "the subject is empty, too long or holds control characters")
      }
      return subject
    }
    if let label = request.label {
      try add(labelled: label, subject, to: &selection)
    } else if let subject {
      let tag = directory.subjectTag(subject)
      let tags = loop.inspect { $0.records.tags(ofSubject: tag) }
      // Beside ids too: whoever names a person must not believe that one without records was found.
      guard try add(tags, to: &selection, where: { $0.subject == subject }) else {
        throw Self.noneMeant(request)
      }
    }
    if request.duplicates == true {
      let named = Set(selection.ids.compactMap { $0 }.map(directory.tag))
      let tags = loop.inspect { coordinator in
        (
          named.reduce(into: Set<RecordTag>()) {
            $0.formUnion(coordinator.records.duplicates(of: $1))
          }, named.filter { coordinator.records[$0] != nil }
        )
      }
      var payloads: Set<Digest> = []
      try visit(tags.1) { payloads.insert($0.payloadDigest) }
      try add(tags.0.subtracting(named), to: &selection) { payloads.contains($0.payloadDigest) }
    }
    guard !selection.ids.isEmpty else {
      throw Self.noneMeant(request)
    }
    guard selection.ids.count <= Self.maximumIDCount else {
      throw APIFailure(413, "more than \(Self.maximumIDCount) ids", try: "send them in parts")
    }
    return selection
  }

  private static func noneMeant(_ request: CoordinatorAPI.DeletionRequest) -> APIFailure {
    let condition = [
      request.label.map { _ in "label" }, request.subject.map { _ in "subject" },
    ].compactMap { $0 }.joined(separator: " and ")
    return condition.isEmpty
      ? APIFailure(400, "no id was given")
      : APIFailure(
        404, "no live record has this \(condition); nothing was deleted",
        try: "compare its spelling, case included; lethe deletions lists what left before")
  }

  /// No index knows labels: every slice is read.
  private func add(labelled label: String, _ subject: RecordID?, to selection: inout Selection)
    throws
  {
    let known = Set(selection.ids.compactMap { $0 })
    var found: [RecordID] = []
    let plan = loop.inspect { $0.state.plan }
    for shard in 0..<plan.shardCount {
      for slice in 0..<plan.sliceCount {
        let location = SliceLocation(shard: shard, slice: slice)
        let records = try directory.liveRecords(location, table) {
          loop.inspect { $0.records.presence(of: location) }
        }
        for record in records
        where record.label.utf8.elementsEqual(label.utf8) && !known.contains(record.id)
          && subject.map({ $0 == record.subject }) ?? true
        {
          found.append(record.id)
        }
      }
    }
    selection.add(found)
  }

  /// - Returns: Whether any record is meant, named before or not.
  @discardableResult
  private func add(
    _ tags: Set<RecordTag>, to selection: inout Selection, where isMeant: (Record) -> Bool
  ) throws -> Bool {
    var meant: [RecordID] = []
    // Tags are looked up by a short hash; the records themselves decide.
    try visit(tags) { if isMeant($0) { meant.append($0.id) } }
    let known = Set(selection.ids.compactMap { $0 })
    selection.add(meant.filter { !known.contains($0) })
    return !meant.isEmpty
  }

  /// Reads the records behind tags from their slices' files.
  private func visit(_ tags: Set<RecordTag>, _ body: (Record) -> Void) throws {
    try directory.readers.reading {
      let records = loop.inspect { coordinator in tags.compactMap { coordinator.records[$0] } }
      let slices = Dictionary(grouping: records, by: \.location).sorted { $0.key < $1.key }
      for (location, records) in slices {
        let places = records.compactMap { table.place(ofRow: $0.row) }
        do throws(SliceError) {
          for record in try directory.slices.read(location, at: places) { body(record) }
        } catch {
          throw ServiceError(error)
        }
      }
    }
  }

  private func decide(_ wish: DeletionWish) -> DeletionDecision {
    let decision = Promise<DeletionDecision>()
    let token = decisions.withLock { decisions in
      decisions.last += 1
      decisions.waiting[decisions.last] = decision
      return decisions.last
    }
    loop.post(.deletionRequested(token: token, wish))
    return decision.wait()
  }

  /// What is kept of who asked; no part of the ledger or of a receipt.
  private static func origin(
    _ request: CoordinatorAPI.DeletionRequest, askedBy: String
  ) throws -> DeletionOrigin {
    let texts = [
      ("ticket", request.ticket, DeletionOrigin.ticketByteCountLimit),
      ("reason", request.reason, DeletionOrigin.reasonByteCountLimit),
    ]
    for (name, text, limit) in texts {
      guard let text else { continue }
      guard (1...limit).contains(text.utf8.count),
        !text.unicodeScalars.contains(where: \.isUnfitToShow)
      else {
        throw APIFailure(
          422, "the \(name) is empty, over \(limit) bytes, or holds control characters")
      }
    }
    return DeletionOrigin(askedBy: askedBy, ticket: request.ticket, reason: request.reason)
  }

  /// Who asked for a deletion, and why, is for those who delete, audit or operate.
  func seesOrigins(_ request: HTTPRequest) -> Bool { may(request, .delete) || may(request, .audit) }

  /// All deletions, or so many of the last.
  func deletionList(last count: Int = .max, withOrigins: Bool = false) -> DeletionList {
    let now = SystemClock.wallMilliseconds
    return DeletionList(
      deletions: loop.inspect { coordinator in
        coordinator.state.deletions.suffix(count).map { coordinator.described($0) }
      }.map { Self.describe($0, withOrigin: withOrigins, at: now) })
  }

  /// `GET /v1/deletions/{deletion}`
  func deletion(_ text: String, withOrigin: Bool) throws -> DeletionList.Item {
    let found = loop.inspect { coordinator in
      coordinator.state.deletions.first { "\($0.number)" == text }.map {
        coordinator.described($0)
      }
    }
    guard let found else {
      throw APIFailure(
        404, "there is no deletion \(text.prefix(32))", try: "lethe deletions lists them")
    }
    return Self.describe(found, withOrigin: withOrigin, at: SystemClock.wallMilliseconds)
  }

  private static func describe(
    _ described: DescribedDeletion, withOrigin: Bool, at now: Milliseconds
  ) -> DeletionList.Item {
    let deletion = described.deletion
    var item = DeletionList.Item(
      deletion: deletion.number, records: deletion.tags.count, state: described.state.rawValue,
      blocksMasked: deletion.masked.count, maskedAt: Timestamp.text(deletion.acceptedAt),
      purgedAt: deletion.purgedAt.map(Timestamp.text),
      repairedAt: deletion.repairedAt.map(Timestamp.text),
      certifiedAt: deletion.certifiedAt.map(Timestamp.text),
      due: Timestamp.text(deletion.due),
      isOverdue: deletion.certifiedAt == nil && deletion.due < now, waitsFor: described.waitsFor,
      workersCutOff: deletion.workersCutOff > 0 ? deletion.workersCutOff : nil)
    if withOrigin {
      item.askedBy = described.origin?.askedBy
      item.ticket = described.origin?.ticket
      item.reason = described.origin?.reason
    }
    return item
  }
}

/// A deletion with what its own value does not say.
private struct DescribedDeletion: Sendable {
  var deletion: Deletion
  var state: DeletionState
  var origin: DeletionOrigin?
  var waitsFor: [DeletionList.Wait]?
}

extension Coordinator {
  fileprivate func described(_ deletion: Deletion) -> DescribedDeletion {
    DescribedDeletion(
      deletion: deletion, state: state.progress(of: deletion),
      origin: state.origins[deletion.number],
      waitsFor: deletion.certifiedAt == nil
        ? CoordinatorService.describe(waits(of: deletion)) : nil)
  }
}

extension DeletionOutcome {
  /// The deletion that took the record.
  var deletion: UInt64? {
    switch self {
    case .accepted(let number), .duplicate(let number): number
    case .unknown: nil
    }
  }

  var word: DeletionResponse.Item.Outcome {
    switch self {
    case .accepted: .accepted
    case .duplicate: .duplicate
    case .unknown: .unknown
    }
  }
}

extension Coordinator {
  /// How long the training that a plan asks for takes all workers, at the speeds measured so far.
  func secondsToRepair(_ plan: DeletionPlan) -> Double? {
    var speeds: [Int: Double] = [:]
    for (stage, works) in Dictionary(grouping: state.blocks.values, by: \.slot.stage) {
      let seconds = works.reduce(0) { $0 + $1.work.seconds }
      let examples = works.reduce(0) { $0 + Double($1.work.examples) }
      if seconds > 0, examples > 0 { speeds[stage] = examples / seconds }
    }
    var seconds = 0.0
    for (slot, examples) in plan.examples where examples > 0 {
      guard let speed = speeds[slot.stage] else { return nil }
      seconds += Double(examples) / speed
    }
    return seconds / Double(max(workers.keys.count { canTrain($0) }, 1))
  }
}
