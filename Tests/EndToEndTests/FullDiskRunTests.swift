import CoordinatorAPI
import Foundation
import TestKit
import Testing

/// A run whose directory is a disk of a few megabytes, which only root can have made.
@Suite("A disk of the coordinator that fills up, with real processes", .serialized)
struct FullDiskRunTests {
  @Test("no worker is blamed, readyz says what is wrong, and training goes on by itself")
  func blame() throws {
    let run = try TestRun(epochs: 60)
    guard
      let disk = try SmallDisk(run.folder.appendingPathComponent("data").path, byteCount: 16 << 20)
    else { return }
    defer { run.stop() }
    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    _ = try run.delete(["r1", "r2"])
    var number = 0
    try waitUntil("a block without room", quiet: 12, seen: run.log) {
      disk.fill(number)
      number += 1
      return run.log.contains("artifact_not_stored")
    }
    let full = try run.call("GET", "/readyz")
    #expect(full.status == 503 && full.text.contains("[-] disk"), "\(full.text)")
    #expect(try run.status().alarms.contains { $0.contains("disk") || $0.contains("stored") })
    try disk.empty()
    try waitUntil("the certificates", quiet: 12, seen: run.log) {
      try run.status().deletionsPending == 0
    }
    let status = try run.status()
    #expect(status.blocksTrained == status.blocks && status.waiting.isEmpty)
    try waitUntil("a sound disk", quiet: 12, seen: run.log) {
      try run.call("GET", "/readyz").status == 200
    }
  }
}
