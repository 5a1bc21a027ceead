/// The candidate a mistyped word most likely means, or `nil` when none is near enough.
///
/// Near is at most one slip in three letters (insertion, removal, replacement, swap of
/// neighbours), or a candidate that the word begins. The first of equals wins.
package func closest(to word: String, among candidates: [String]) -> String? {
  let limit = max(1, word.count / 3)
  let ranked = candidates.map { (candidate: $0, slips: slips(from: word, to: $0)) }
  if let best = ranked.min(by: { $0.slips < $1.slips }), best.slips <= limit {
    return best.candidate
  }
  return word.count >= 2 ? candidates.first { $0.hasPrefix(word) } : nil
}

/// Optimal string alignment: edit distance in which no part is edited twice.
func slips(from source: String, to target: String) -> Int {
  let (source, target) = (Array(source), Array(target))
  var beforeLast: [Int] = []
  var last = Array(0...target.count)
  for row in 0..<source.count {
    var current = [row + 1]
    for column in 0..<target.count {
      let replaced = last[column] + (source[row] == target[column] ? 0 : 1)
      var best = min(replaced, last[column + 1] + 1, current[column] + 1)
      if row > 0, column > 0, source[row] == target[column - 1], source[row - 1] == target[column] {
        best = min(best, beforeLast[column - 1] + 1)
      }
      current.append(best)
    }
    (beforeLast, last) = (last, current)
  }
  return last[target.count]
}
