import CoordinatorCore
import Testing
import Unlearning

/// What receivers are told, and that none of it is lost or told under two names.
@Suite("Notices") struct NoticeTests {
  private func bench(_ policy: RepairPolicy = .eager) throws -> Bench {
    var bench = try Bench(policy)
    bench.join(1)
    bench.trainAll()
    return bench
  }

  private func pending(_ bench: Bench, _ cursor: NoticeCursor, now: Milliseconds? = nil)
    -> [Notice]
  {
    let state = bench.coordinator.state
    return cursor.pending(
      state, isTrained: state.untrainedSlots.isEmpty, now: now ?? bench.time - bench.wallSetBack)
  }

  /// A receiver that knows everything up to now.
  private func informed(_ bench: Bench) -> NoticeCursor {
    var cursor = NoticeCursor()
    for notice in pending(bench, cursor) { cursor.mark(notice) }
    return cursor
  }

  private func delete(_ bench: inout Bench, _ tag: RecordTag, due: Milliseconds = .max) {
    var wish = Bench.wish([tag])
    wish.due = due
    bench.handle(.deletionRequested(token: 1, wish))
  }

  /// Lets the purge that has been ordered end.
  private func purge(_ bench: inout Bench) {
    for case .purge(let order) in bench.effects {
      bench.erase(order)
      bench.handle(.purgeFinished(throughDeletion: order.throughDeletion))
      bench.handle(.purgeConfirmed(WorkerID(1), throughDeletion: order.throughDeletion))
    }
    bench.effects = []
  }

  private func names(_ notices: [Notice]) -> [String] {
    notices.map { notice in
      switch notice.subject {
      case .deletion(let deletion): "\(notice.kind.rawValue) \(deletion.number)"
      case .run, .alarm: notice.kind.rawValue
      }
    }
  }

  @Test("tells a deletion's life in its order, and each part once")
  func life() throws {
    var bench = try bench(.manual)
    var cursor = informed(bench)
    #expect(pending(bench, cursor).isEmpty, "who is new hears of what changes from now on")
    bench.effects = []
    delete(&bench, Bench.tag(0, 0, 0))
    #expect(names(pending(bench, cursor)) == ["deletion.acknowledged 1"])
    purge(&bench)
    let two = pending(bench, cursor)
    #expect(names(two) == ["deletion.acknowledged 1", "deletion.purged 1"])
    cursor.mark(two[0])
    #expect(pending(bench, cursor) == [two[1]])
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    while bench.finishLeases() > 0 {}
    #expect(
      names(pending(bench, cursor)) == [
        "deletion.purged 1", "deletion.repaired 1", "deletion.certified 1", "run.trained",
      ])
    for notice in pending(bench, cursor) { cursor.mark(notice) }
    #expect(pending(bench, cursor).isEmpty)
    #expect(cursor.finishedThrough == 1 && cursor.told.isEmpty, "what is finished takes no room")
  }

  @Test("is repaired only once it is purged, whichever came first")
  func repairFirst() throws {
    var bench = try bench()
    let cursor = informed(bench)
    bench.effects = []
    delete(&bench, Bench.tag(0, 0, 0))
    while bench.finishLeases() > 0 {}
    #expect(bench.coordinator.state.deletion(1).repairedAt != nil)
    #expect(names(pending(bench, cursor)).first == "deletion.acknowledged 1")
    #expect(!names(pending(bench, cursor)).contains("deletion.repaired 1"))
    purge(&bench)
    #expect(
      names(pending(bench, cursor)).filter { $0.hasPrefix("deletion") } == [
        "deletion.acknowledged 1", "deletion.purged 1", "deletion.repaired 1",
        "deletion.certified 1",
      ])
  }

  @Test("a due date that passes is told once, also if the deletion was finished afterwards")
  func overdue() throws {
    var bench = try bench(.manual)
    var cursor = informed(bench)
    let due = bench.time + 10_000
    delete(&bench, Bench.tag(0, 0, 0), due: due)
    for notice in pending(bench, cursor) { cursor.mark(notice) }
    #expect(pending(bench, cursor, now: due).isEmpty)
    let late = pending(bench, cursor, now: due + 1)
    #expect(names(late) == ["deletion.overdue 1"] && late[0].at == due)
    let unaware = cursor
    cursor.mark(late[0])
    #expect(pending(bench, cursor, now: due + 1).isEmpty)
    bench.handle(.trainingRequested, after: 20_000)
    bench.handle(.workRequested(WorkerID(1)))
    while bench.finishLeases() > 0 {}
    purge(&bench)
    #expect(names(pending(bench, unaware)).first == "deletion.overdue 1")
    #expect(!names(pending(bench, cursor)).contains("deletion.overdue 1"))
  }

  @Test("a later deletion may finish first")
  func outOfOrder() throws {
    var bench = try bench(.manual)
    var cursor = informed(bench)
    delete(&bench, Bench.tag(0, 0, 0))
    delete(&bench, Bench.tag(1, 0, 0))
    let first = bench.coordinator.state.deletion(1)
    let second = bench.coordinator.state.deletion(2)
    cursor.mark(Notice(kind: .deletionCertified, at: 1, subject: .deletion(second)))
    #expect(cursor.finishedThrough == 0 && cursor.told.count == 1)
    #expect(names(pending(bench, cursor)).contains("deletion.acknowledged 1"))
    cursor.mark(Notice(kind: .deletionCertified, at: 2, subject: .deletion(first)))
    #expect(cursor.finishedThrough == 2 && cursor.told.isEmpty)
  }

  @Test("a restored run's deletions are told, whatever numbers they have")
  func restored() throws {
    var bench = try bench(.manual)
    var cursor = informed(bench)
    delete(&bench, Bench.tag(0, 0, 0))
    cursor.finishedThrough = 4
    cursor.told = [1: [.deletionPurged], 6: [.deletionPurged]]
    #expect(pending(bench, cursor).isEmpty)
    cursor.fit(bench.coordinator.state)
    #expect(cursor.finishedThrough == 1 && cursor.told.keys.sorted() == [1])
    delete(&bench, Bench.tag(1, 0, 0))
    #expect(names(pending(bench, cursor)) == ["deletion.acknowledged 2"])
  }

  @Test("a clock that is set back does not turn a life around")
  func clock() throws {
    var bench = try bench(.manual)
    let cursor = informed(bench)
    bench.effects = []
    delete(&bench, Bench.tag(0, 0, 0))
    bench.time += 1_000
    purge(&bench)
    bench.wallSetBack = 500_000
    bench.handle(.trainingRequested)
    bench.handle(.workRequested(WorkerID(1)))
    while bench.finishLeases() > 0 {}
    let told = names(pending(bench, cursor)).filter { $0.hasPrefix("deletion") }
    #expect(
      told == [
        "deletion.acknowledged 1", "deletion.purged 1", "deletion.repaired 1",
        "deletion.certified 1",
      ])
  }

  @Test("one change has one name, and no two changes share one")
  func identities() throws {
    var bench = try bench()
    let cursor = informed(bench)
    delete(&bench, Bench.tag(0, 0, 0))
    delete(&bench, Bench.tag(1, 0, 0))
    while bench.finishLeases() > 0 {}
    purge(&bench)
    var alarmed = cursor
    alarmed.observe([Condition("disk_full"), Condition("bits_differ", about: "a")], at: 5)
    let key = bench.coordinator.state.run.partitionKey
    let names = pending(bench, alarmed).map { $0.identity(partitionKey: key) }
    #expect(Set(names).count == names.count && names.count >= 7)
    #expect(names == pending(bench, alarmed).map { $0.identity(partitionKey: key) })
    let others = pending(bench, alarmed).map { $0.identity(partitionKey: [1]) }
    #expect(Set(names).isDisjoint(with: others), "another run's changes")
  }

  @Test("an alarm is raised once, and again after it had gone")
  func alarms() throws {
    let bench = try bench()
    var cursor = informed(bench)
    let full: Set = [Condition("disk_full")]
    cursor.observe(full, at: 10)
    let first = pending(bench, cursor)
    #expect(names(first) == ["alarm.raised"] && first[0].at == 10)
    cursor.observe(full, at: 20)
    #expect(pending(bench, cursor) == first, "it is the same one until it goes")
    cursor.mark(first[0])
    cursor.observe(full, at: 30)
    #expect(pending(bench, cursor).isEmpty)
    cursor.observe([], at: 40)
    cursor.observe(full, at: 50)
    #expect(pending(bench, cursor).map(\.at) == [50])
  }
}
