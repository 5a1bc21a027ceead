import Unlearning

/// The slots that a worker could train this moment, kept in order shard by shard.
///
/// Whoever changes something that decides about a slot says so with `touch`; only touched shards
/// are looked at again, so a decision costs the same with a thousand blocks and with a million.
struct WorkQueue: Sendable {
  /// What makes one shard's next block more urgent than another's, in this order.
  struct Urgency: Comparable, Sendable {
    /// Blocks the shard serves now: whoever serves nothing comes first.
    var depth: Int
    /// Workers that train the shard's blocks already.
    var leases: Int
    /// The longest chain of blocks waits for the lowest stage.
    var stage: Int
    var sequence: Int
    var shard: Int

    static func < (left: Self, right: Self) -> Bool {
      if left.depth != right.depth { return left.depth < right.depth }
      if left.leases != right.leases { return left.leases < right.leases }
      return (left.stage, left.sequence, left.shard) < (right.stage, right.sequence, right.shard)
    }
  }

  /// One shard as last looked at.
  struct Outlook: Sendable {
    /// Most useful first; no two of them have the same key.
    var ready: [BlockSlot] = []
    var depth = 0
    /// Of every sequence, how many blocks from the first can serve; `nil` where that may have
    /// changed, and all are to be counted where it is empty.
    var depths: [Int?] = []
    var leases = 0
    /// When something that waits for time may have come due.
    var wakeAt: Milliseconds?

    func urgency(of slot: BlockSlot) -> Urgency {
      Urgency(
        depth: depth, leases: leases, stage: slot.stage, sequence: slot.sequence, shard: slot.shard)
    }
  }

  private struct Entry: Comparable, Sendable {
    var urgency: Urgency
    var version: UInt32

    static func < (left: Self, right: Self) -> Bool { left.urgency < right.urgency }
  }

  private struct Wake: Comparable, Sendable {
    var at: Milliseconds
    var shard: Int
    var version: UInt32

    static func < (left: Self, right: Self) -> Bool {
      (left.at, left.shard) < (right.at, right.shard)
    }
  }

  private var outlooks: [Outlook]
  /// Counts looks at a shard; what an earlier look put into a heap is void.
  private var versions: [UInt32]
  private var entries = PriorityHeap<Entry>()
  private var wakes = PriorityHeap<Wake>()
  private var touched: Set<Int>
  /// Shards touched since somebody reported on them; see `Coordinator.refreshedReports`.
  private var unreported: Set<Int> = []

  init(shardCount: Int) {
    outlooks = Array(repeating: Outlook(), count: shardCount)
    versions = Array(repeating: 0, count: shardCount)
    touched = Set(0..<shardCount)
  }

  /// A shard's leases have changed, or what else decides about its slots but their blocks.
  mutating func touch(_ shard: Int) {
    touched.insert(shard)
    unreported.insert(shard)
  }

  mutating func takeUnreported() -> Set<Int> {
    defer { unreported.removeAll(keepingCapacity: true) }
    return unreported
  }

  /// Some of a shard's blocks or keys have changed, too.
  mutating func touchBlocks(ofShard shard: Int) {
    touch(shard)
    outlooks[shard].depths = []
  }

  /// A block has come to stand at a slot.
  mutating func touchBlock(at slot: BlockSlot) {
    touch(slot.shard)
    guard outlooks[slot.shard].depths.indices.contains(slot.sequence) else { return }
    outlooks[slot.shard].depths[slot.sequence] = nil
  }

  mutating func touchAll() { for shard in outlooks.indices { touchBlocks(ofShard: shard) } }

  /// Looks again at what was touched and at what has come due.
  ///
  /// - Parameter look: What a shard is like now; it is given what is still known of the depths.
  mutating func refresh(
    at now: Milliseconds, look: (_ shard: Int, _ depths: [Int?]) -> Outlook
  ) {
    while let wake = wakes.first, wake.at <= now {
      _ = wakes.removeFirst()
      if versions[wake.shard] == wake.version { touched.insert(wake.shard) }
    }
    guard !touched.isEmpty else { return }
    for shard in touched.sorted() {
      outlooks[shard] = look(shard, outlooks[shard].depths)
      versions[shard] &+= 1
      insert(shard)
    }
    touched.removeAll(keepingCapacity: true)
    // Void entries are dropped when they come up; when most are, all are made anew.
    if entries.count + wakes.count > 4 * outlooks.count + 64 {
      entries.removeAll()
      wakes.removeAll()
      for shard in outlooks.indices { insert(shard) }
    }
  }

  private mutating func insert(_ shard: Int) {
    let outlook = outlooks[shard]
    if let slot = outlook.ready.first {
      entries.insert(Entry(urgency: outlook.urgency(of: slot), version: versions[shard]))
    }
    if let at = outlook.wakeAt {
      wakes.insert(Wake(at: at, shard: shard, version: versions[shard]))
    }
  }

  /// Whether nothing is ready, as of the last refresh.
  var isEmpty: Bool {
    mutating get {
      dropVoid()
      return entries.first == nil
    }
  }

  private mutating func dropVoid() {
    while let entry = entries.first, versions[entry.urgency.shard] != entry.version {
      _ = entries.removeFirst()
    }
  }

  /// The most urgent slot that `isFit`, preferring `home` among shards that serve as little.
  mutating func choose(home: Int?, isFit: (BlockSlot) -> Bool) -> BlockSlot? {
    dropVoid()
    guard let top = entries.first else { return nil }
    if let home, outlooks[home].depth <= top.urgency.depth, !touched.contains(home),
      let slot = outlooks[home].ready.first(where: isFit)
    {
      return slot
    }
    var passed: [Entry] = []
    defer { for entry in passed { entries.insert(entry) } }
    while let entry = entries.first {
      if let slot = outlooks[entry.urgency.shard].ready.first(where: isFit) { return slot }
      passed.append(entries.removeFirst()!)
      dropVoid()
    }
    return nil
  }
}
