import Hashing

/// What is known of whole slices at layers of the encoder, within a number of bytes.
///
/// Stages of a sequence come down from the top, so whoever asks for a slice at a layer will ask for
/// it further down: what is kept below counts as asked for, too. When room is needed, what was
/// asked for longest ago goes first, and of that the lowest layer, which is wanted last.
///
/// **Invariants.** The bytes held are the sum over all entries and at most `byteLimit`. What is
/// found is what was put in: whether something is found never changes what comes of it.
package struct SliceCache<Value: Sendable>: Sendable {
  package struct Key: Hashable, Sendable {
    package var slice: Digest
    /// The layer that the value enters: the frozen prefix, shared by all sequences.
    package var layer: Int

    package init(slice: Digest, layer: Int) {
      self.slice = slice
      self.layer = layer
    }
  }

  private struct Entry: Sendable {
    var value: Value
    var byteCount: Int
    var askedAt: UInt64
  }

  package let byteLimit: Int
  package private(set) var figures = CacheFigures()
  private var entries: [Key: Entry] = [:]

  package init(byteLimit: Int) {
    precondition(byteLimit >= 0)
    self.byteLimit = byteLimit
  }

  package var count: Int { entries.count }

  /// - Parameter time: any number that does not decrease; one for all that a lease asks for.
  package mutating func find(_ key: Key, at time: UInt64) -> Value? {
    for layer in 0...max(key.layer, 0) {
      entries[Key(slice: key.slice, layer: layer)]?.askedAt = time
    }
    let value = entries[key]?.value
    if value == nil { figures.misses += 1 } else { figures.hits += 1 }
    return value
  }

  /// The slice at the highest layer at which it is known, up to the key's: where to go on from.
  package func nearest(notAbove key: Key) -> Value? {
    (0...max(key.layer, 0)).reversed().lazy
      .compactMap { entries[Key(slice: key.slice, layer: $0)]?.value }.first
  }

  package mutating func insert(_ value: Value, byteCount: Int, _ key: Key, at time: UInt64) {
    guard byteCount <= byteLimit else { return }
    let old = entries.updateValue(
      Entry(value: value, byteCount: byteCount, askedAt: time), forKey: key)
    figures.byteCount += byteCount - (old?.byteCount ?? 0)
    while figures.byteCount > byteLimit, let last = leastWanted {
      figures.byteCount -= entries.removeValue(forKey: last)?.byteCount ?? 0
      if last != key { figures.evictions += 1 }
    }
  }

  private var leastWanted: Key? {
    func rank(_ element: (key: Key, value: Entry)) -> (UInt64, Int, Digest) {
      (element.value.askedAt, element.key.layer, element.key.slice)
    }
    return entries.min { rank($0) < rank($1) }?.key
  }

  package mutating func removeAll() {
    entries = [:]
    figures.byteCount = 0
  }
}

/// How a cache has done since it was made.
package struct CacheFigures: Equatable, Sendable {
  package var hits = 0
  package var misses = 0
  /// Values that made room for others.
  package var evictions = 0
  /// Held now.
  package var byteCount = 0

  package init() {}
}
