import Hashing
import Testing
import WorkerCore

@Suite("What is known of slices") struct SliceCacheTests {
  typealias Key = SliceCache<Int>.Key

  static func key(_ slice: UInt8, _ layer: Int) -> Key {
    Key(slice: SHA256.hash([slice]), layer: layer)
  }

  /// The value says where it belongs, so that a wrong one is seen.
  static func value(_ slice: UInt8, _ layer: Int) -> Int { Int(slice) * 100 + layer }

  struct Row: Sendable {
    /// Slice and layer by lease: what each asks for, and puts in if it is not there.
    let leases: [[(slice: UInt8, layer: Int)]]
    let stays: [(slice: UInt8, layer: Int)]
    let goes: [(slice: UInt8, layer: Int)]
    let because: String
  }

  static let rows = [
    Row(
      leases: [[(1, 5)], [(2, 5)], [(3, 5)], [(4, 5)]], stays: [(2, 5), (3, 5), (4, 5)],
      goes: [(1, 5)], because: "the oldest goes"),
    Row(
      leases: [[(1, 5)], [(2, 5)], [(3, 5)], [(1, 5)], [(4, 5)]], stays: [(1, 5), (3, 5), (4, 5)],
      goes: [(2, 5)], because: "asking makes young"),
    Row(
      leases: [[(1, 3), (1, 4), (1, 5), (2, 5)]], stays: [(1, 4), (1, 5), (2, 5)], goes: [(1, 3)],
      because: "of one lease the lowest layer goes"),
    Row(
      leases: [[(1, 4), (1, 5)], [(2, 4)], [(1, 4)], [(3, 4)]], stays: [(1, 4), (2, 4), (3, 4)],
      goes: [(1, 5)], because: "asking lower down leaves what is above to age"),
    Row(
      leases: [[(1, 4), (1, 5)], [(2, 5)], [(1, 5)], [(3, 5)]], stays: [(1, 4), (1, 5), (3, 5)],
      goes: [(2, 5)], because: "asking higher up wants what is below as well"),
  ]

  @Test("makes room for what is wanted next", arguments: rows)
  func evicts(_ row: Row) {
    var cache = SliceCache<Int>(byteLimit: 30)
    for (time, lease) in row.leases.enumerated() {
      for (slice, layer) in lease where cache.find(Self.key(slice, layer), at: UInt64(time)) == nil
      {
        cache.insert(
          Self.value(slice, layer), byteCount: 10, Self.key(slice, layer), at: UInt64(time))
      }
    }
    #expect(cache.figures.byteCount == 30 && cache.figures.evictions == 1)
    for (slice, layer) in row.stays {
      #expect(
        cache.find(Self.key(slice, layer), at: 99) == Self.value(slice, layer), "\(row.because)")
    }
    for (slice, layer) in row.goes {
      #expect(cache.find(Self.key(slice, layer), at: 99) == nil, "\(row.because)")
    }
  }

  @Test(
    "never holds more than its limit, and gives only what was put in", arguments: UInt64(0)..<32)
  func random(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let limit = Int(random.next() % 200)
    var cache = SliceCache<Int>(byteLimit: limit)
    var sizes: [Key: Int] = [:]
    for time in UInt64(0)..<300 {
      let (slice, layer) = (UInt8(random.next() % 6), Int(random.next() % 6))
      let key = Self.key(slice, layer)
      if let found = cache.find(key, at: time) {
        try #require(found == Self.value(slice, layer))
      } else {
        let size = Int(random.next() % 60)
        sizes[key] = size
        cache.insert(Self.value(slice, layer), byteCount: size, key, at: time)
      }
      try #require(cache.figures.byteCount <= limit)
      let held = sizes.filter { key, _ in
        var copy = cache
        return copy.find(key, at: time) != nil
      }
      try #require(held.values.reduce(0, +) == cache.figures.byteCount)
      if let near = cache.nearest(notAbove: key) {
        try #require(near / 100 == Int(slice) && near % 100 <= layer)
      }
    }
    #expect(cache.figures.hits + cache.figures.misses == 300)
    cache.removeAll()
    #expect(cache.count == 0 && cache.figures.byteCount == 0)
  }

  @Test("a value put in again is counted once")
  func again() {
    var cache = SliceCache<Int>(byteLimit: 30)
    cache.insert(1, byteCount: 20, Self.key(1, 1), at: 0)
    cache.insert(2, byteCount: 30, Self.key(1, 1), at: 1)
    #expect(cache.figures.byteCount == 30 && cache.figures.evictions == 0 && cache.count == 1)
    cache.insert(3, byteCount: 31, Self.key(1, 2), at: 1)
    #expect(cache.count == 1, "what can never fit pushes nothing out")
  }
}
