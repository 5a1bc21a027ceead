import CoordinatorAPI
import CoordinatorCore
import ServiceSupport
import Unlearning

extension CoordinatorService {
  static func describe(_ waits: [DeletionWait]) -> [DeletionList.Wait] {
    waits.map { wait in
      DeletionList.Wait(
        place: wait.place, state: wait.state, subject: wait.subject, reason: wait.reason,
        since: Timestamp.text(wait.since))
    }
  }

  static func addPurge(
    _ figures: PurgeFigures, _ cutOffCount: Int, _ now: Milliseconds, to text: inout Exposition
  ) {
    text.add(
      "lethe_purge_oldest_age_seconds", .gauge,
      "Age of the oldest deletion whose bytes are not purged; 0 without one.",
      figures.oldestUnpurged.map { Double(max(now - $0, 0)) / 1000 } ?? 0)
    let places = PurgePlace.own.map(\.word) + ["worker", "export"]
    text.add(
      "lethe_purge_places_waiting", .gauge, "Places that are not purged yet, by their kind.",
      by: "place", places.map { ($0, Double(figures.waiting[$0] ?? 0)) })
    text.add(
      "lethe_exports_out_of_reach", .gauge,
      "Exports with blocks that saw deleted records, which could not be removed.",
      Double(figures.exportsOutOfReach))
    text.add(
      "lethe_workers_cut_off_total", .counter,
      "Workers since the start that did not confirm a purge in time.", Double(cutOffCount))
  }
}
