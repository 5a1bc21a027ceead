import Foundation
import JournalFormat
import Storage
import SystemIO
import TestKit
import Testing

@Suite("Journal: full disk", .serialized) struct FullDiskTests {
  @Test("a deletion is still accepted, on the space kept for it")
  func reserve() throws {
    // Two reserves, two segments of one step, and too little for two more.
    guard let disk = try SmallDisk(byteCount: 5 << 20) else {
      print("SKIPPED: a small disk needs the right to mount")
      return
    }
    let place = JournalPlace(in: disk.path)
    let filler = disk.path + "/filler"
    let journal = try Journal.open(place.directories).journal
    #expect(!journal.isOnReserve)
    try place.write([UInt8](repeating: 1, count: (1 << 20) - 40_000), filler)
    let payload = [UInt8](repeating: 3, count: 10_000)
    var count = 0
    while !journal.isOnReserve {
      try journal.append([payload], epoch: 1)
      count += 1
      try #require(count < 300)
    }
    #expect(count > 100, "the first step held them")
    for _ in 0..<20 { try journal.append([payload], epoch: 1) }
    #expect(throws: SystemCallError.self, "no room for another segment") { try journal.rotate() }
    try journal.append([payload], epoch: 1)
    #expect(try !journal.replenish())

    let again = try Journal.open(place.directories)
    #expect(again.payloads.count == count + 21 && again.repairs.isEmpty)
    #expect(again.journal.isOnReserve)

    // Till even the reserve is used up: refused, and what was promised stays.
    var more = 0
    while (try? again.journal.append([payload], epoch: 1)) != nil { more += 1 }
    #expect(throws: SystemCallError.self) { try again.journal.append([[1]], epoch: 1) }
    let last = try Journal.open(place.directories)
    #expect(last.payloads.count == count + 21 + more)

    try place.remove(filler)
    #expect(try Journal.open(place.directories).payloads.count == count + 21 + more)
  }

  @Test("the space is kept again once the disk has it")
  func replenish() throws {
    guard let disk = try SmallDisk(byteCount: 8 << 20) else {
      print("SKIPPED: a small disk needs the right to mount")
      return
    }
    let place = JournalPlace(in: disk.path)
    let filler = disk.path + "/filler"
    try place.write([UInt8](repeating: 1, count: 5 << 20), filler)
    let journal = try Journal.open(place.directories).journal
    #expect(journal.isOnReserve, "it was not to be had")
    try journal.append([[1]], epoch: 1)
    try place.remove(filler)
    // A child that another test is just starting holds the removed file until it runs its program.
    try waitUntil("room on the disk") { try journal.replenish() }
    #expect(try journal.replenish() && !journal.isOnReserve)
    #expect(try place.reopen().payloads == [[1]])
  }
}
