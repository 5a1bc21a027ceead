/// Gives every row a column of its own so that the weights add up to the most.
///
/// The Hungarian method by shortest augmenting paths with potentials, O(n³) (Kuhn 1955; Munkres
/// 1957; in the form of Jonker and Volgenant 1987).
package enum MaximumAssignment {
  /// - Parameter weights: square; −∞ forbids a place.
  /// - Returns: the column of each row; of equally good answers always the same one. `nil` if none
  ///   avoids all forbidden places.
  package static func columns(_ weights: [[Double]]) -> [Int]? {
    let count = weights.count
    precondition(weights.allSatisfy { $0.count == count })
    // Columns count from one; column 0 stands for "none yet".
    var rowPotential = [Double](repeating: 0, count: count)
    var columnPotential = [Double](repeating: 0, count: count + 1)
    var rowOfColumn = [Int?](repeating: nil, count: count + 1)
    for row in 0..<count {
      var distance = [Double](repeating: .infinity, count: count + 1)
      var previous = [Int](repeating: 0, count: count + 1)
      var isDone = [Bool](repeating: false, count: count + 1)
      var column = 0
      rowOfColumn[0] = row
      while let current = rowOfColumn[column] {
        isDone[column] = true
        var (nearest, next) = (Double.infinity, 0)
        for candidate in 1..<count + 1 where !isDone[candidate] {
          let cost = -weights[current][candidate - 1]
          let reduced = cost - rowPotential[current] - columnPotential[candidate]
          if reduced < distance[candidate] {
            distance[candidate] = reduced
            previous[candidate] = column
          }
          if distance[candidate] < nearest { (nearest, next) = (distance[candidate], candidate) }
        }
        guard nearest < .infinity else { return nil }
        for candidate in 0..<count + 1 {
          if isDone[candidate], let owner = rowOfColumn[candidate] {
            rowPotential[owner] += nearest
            columnPotential[candidate] -= nearest
          } else {
            distance[candidate] -= nearest
          }
        }
        column = next
      }
      // Back along the path, each column goes to the row before it.
      while column != 0 {
        rowOfColumn[column] = rowOfColumn[previous[column]]
        column = previous[column]
      }
    }
    var columns = [Int](repeating: 0, count: count)
    for column in 1..<count + 1 {
      if let row = rowOfColumn[column] { columns[row] = column - 1 }
    }
    return columns
  }
}
