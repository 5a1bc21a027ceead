/// The candidate that is spelt most like `word`, if one is near enough to be meant.
///
/// Near is another case, or one edit for every three bytes; ties go to the bytewise smaller one, so
/// that the same file always gives the same message.
func closestSpelling(to word: [UInt8], among candidates: [[UInt8]]) -> [UInt8]? {
  // Longer words and lists are not typing mistakes worth their quadratic price.
  guard word.count <= 64, candidates.count <= 256 else { return nil }
  let lowered = lowercased(word)
  var best: (distance: Int, candidate: [UInt8])?
  for candidate in candidates.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
    guard candidate.count <= 64 else { continue }
    let distance = editDistance(lowered, lowercased(candidate))
    let allowed = max(word.count, candidate.count) / 3
    if distance <= allowed, distance < best?.distance ?? .max { best = (distance, candidate) }
  }
  return best?.candidate
}

/// ASCII only: labels are compared as bytes everywhere else too.
private func lowercased(_ word: [UInt8]) -> [UInt8] {
  word.map { (0x41...0x5a).contains($0) ? $0 + 32 : $0 }
}

/// Insertions, removals and replacements that turn one word into the other (Levenshtein).
private func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
  var row = Array(0...right.count)
  for (index, byte) in left.enumerated() {
    var diagonal = row[0]
    row[0] = index + 1
    for (column, other) in right.enumerated() {
      let replaced = diagonal + (byte == other ? 0 : 1)
      diagonal = row[column + 1]
      row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
    }
  }
  return row[right.count]
}
