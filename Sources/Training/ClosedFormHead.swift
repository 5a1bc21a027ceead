package import ModelFormats
internal import Numerics
package import Unlearning

/// A head that needs no steps: what pooled features and targets add up to, solved once.
///
/// For classes, a linear discriminant: normal distributions around the classes' means, of one
/// covariance that is shrunk towards a sphere (Friedman 1989). With some hundred records in as many
/// dimensions its logits are far too sure of themselves, so they are taken down to a third. For a
/// number, least squares with the same shrinkage.
///
/// Everything is a sum over records in the order they are added, in double precision.
package struct ClosedFormHead {
  private let width: Int
  private let labelCount: Int
  private var count = 0.0
  private var sum: [Double]
  /// (width, width), of which the part up to the diagonal is used.
  private var products: [Double]
  /// Records of each class; of a regression one row, of all records.
  private var counts: [Double]
  /// (classes, width): features added up by class; of a regression, times the target.
  private var sums: [Double]
  private var targetSum = 0.0
  private let isRegression: Bool

  /// How much of the covariance is replaced by a sphere of the same mean variance.
  private static let shrinkage = 0.7
  private static let discriminantScale = 0.3

  package init(width: Int, recipe: TrainingRecipe) {
    self.width = width
    labelCount = recipe.labels.count
    isRegression = recipe.isRegression
    sum = Array(repeating: 0, count: width)
    products = Array(repeating: 0, count: width * width)
    counts = Array(repeating: 0, count: labelCount)
    sums = Array(repeating: 0, count: labelCount * width)
  }

  /// - Parameter features: `width` numbers of one record.
  package mutating func add(_ features: UnsafePointer<Float>, _ target: Target) {
    let (row, factor) =
      switch target {
      case .label(let label): (label, 1.0)
      case .value(let value): (0, value)
      }
    count += 1
    counts[row] += 1
    if case .value(let value) = target { targetSum += value }
    for column in 0..<width {
      let value = Double(features[column])
      sum[column] += value
      sums[row * width + column] += factor * value
      for other in 0...column {
        products[column * width + other] += value * Double(features[other])
      }
    }
  }

  /// The head; `nil` before any record.
  package func solved() -> ClassifierHead? {
    guard count > 0 else { return nil }
    return isRegression ? leastSquares() : discriminant()
  }

  private func discriminant() -> ClassifierHead? {
    // A class without records answers like all classes together.
    let means = (0..<labelCount).map { label in
      (0..<width).map {
        (sums[label * width + $0] + sum[$0] / count) / (counts[label] + 1)
      }
    }
    let within = (0..<labelCount).filter { counts[$0] > 0 }.map { label in
      (weight: counts[label], mean: (0..<width).map { sums[label * width + $0] / counts[label] })
    }
    guard let solver = Solver(covariance(around: within), width: width) else { return nil }
    var (weight, bias) = ([Float](), [Float]())
    for (label, mean) in means.enumerated() {
      let row = solver.solve(mean)
      let offset = zip(row, mean).reduce(0) { $0 + $1.0 * $1.1 } / 2
      let share = (counts[label] + 1) / (count + Double(labelCount))
      weight += row.map { Float(Self.discriminantScale * $0) }
      bias.append(Float(Self.discriminantScale * (Elementary.log(share) - offset)))
    }
    return ClassifierHead(weight: weight, bias: bias)
  }

  private func leastSquares() -> ClassifierHead? {
    let mean = sum.map { $0 / count }
    let target = targetSum / count
    guard let solver = Solver(covariance(around: [(count, mean)]), width: width) else {
      return nil
    }
    let row = solver.solve((0..<width).map { sums[$0] / count - mean[$0] * target })
    let offset = zip(row, mean).reduce(0) { $0 + $1.0 * $1.1 }
    return ClassifierHead(
      weight: row.map(Float.init), bias: [Float(target - offset)])
  }

  /// The mean product of what is left of the features once groups' means are taken off, shrunk.
  private func covariance(around groups: [(weight: Double, mean: [Double])]) -> [Double] {
    var matrix = products
    for (weight, mean) in groups {
      for row in 0..<width {
        for column in 0...row { matrix[row * width + column] -= weight * mean[row] * mean[column] }
      }
    }
    var trace = 0.0
    for index in 0..<width { trace += matrix[index * width + index] }
    // Where all records are alike, any sphere will do.
    let sphere = max(trace / Double(width), 1e-9)
    for row in 0..<width {
      for column in 0...row { matrix[row * width + column] *= (1 - Self.shrinkage) / count }
      matrix[row * width + row] += Self.shrinkage * sphere / count
    }
    return matrix
  }
}

/// Solves equations of one symmetric, positive matrix (Cholesky's decomposition).
private struct Solver {
  private let width: Int
  /// The lower triangle L of A = L·Lᵀ.
  private var lower: [Double]

  /// - Parameter matrix: (width, width), of which the part up to the diagonal is read.
  /// - Returns: `nil` if it is not positive.
  init?(_ matrix: [Double], width: Int) {
    self.width = width
    lower = matrix
    for row in 0..<width {
      for column in 0...row {
        var rest = lower[row * width + column]
        for index in 0..<column {
          rest -= lower[row * width + index] * lower[column * width + index]
        }
        if column < row {
          lower[row * width + column] = rest / lower[column * width + column]
        } else {
          guard rest > 0 else { return nil }
          lower[row * width + row] = rest.squareRoot()
        }
      }
    }
  }

  func solve(_ right: [Double]) -> [Double] {
    var x = right
    for row in 0..<width {
      for column in 0..<row { x[row] -= lower[row * width + column] * x[column] }
      x[row] /= lower[row * width + row]
    }
    for row in (0..<width).reversed() {
      for below in (row + 1)..<max(width, row + 1) {
        x[row] -= lower[below * width + row] * x[below]
      }
      x[row] /= lower[row * width + row]
    }
    return x
  }
}
