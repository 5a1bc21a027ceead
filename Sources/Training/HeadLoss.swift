internal import Numerics

/// The head on pooled records and its loss, forward and backward.
///
/// Small sums in own loops of fixed order; losses in double precision.
struct HeadLoss {
  let labelCount: Int
  let width: Int
  /// (records, width) of the batch, or of its part that is worked on.
  let pooled: FloatBuffer
  /// (records, labels): logits, then their gradient.
  let logits: FloatBuffer
  private let pooledGradient: FloatBuffer

  init(labelCount: Int, width: Int, batchSize: Int) {
    self.labelCount = labelCount
    self.width = width
    pooled = FloatBuffer(count: batchSize * width)
    logits = FloatBuffer(count: batchSize * labelCount)
    pooledGradient = FloatBuffer(count: width)
  }

  /// The losses of the pooled records, added up and multiplied with `share`; adds to the head's
  /// gradients and leaves those of the logits.
  func loss(
    _ targets: [Target], share: Double, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>,
    weightGradient: UnsafeMutablePointer<Float>, biasGradient: UnsafeMutablePointer<Float>
  ) -> Double {
    var total = 0.0
    for (record, target) in targets.enumerated() {
      let mean = pooled.pointer + record * width
      let row = logits.pointer + record * labelCount
      for index in 0..<labelCount {
        row[index] = Kernels.dot(mean, weight + index * width, count: width) + bias[index]
      }
      switch target {
      case .label(let label): total += crossEntropy(row, label, share: share)
      case .value(let value):
        let error = Double(row[0]) - value
        total += error * error
        row[0] = Float(2 * error * share)
      }
      for index in 0..<labelCount {
        Kernels.addScaled(weightGradient + index * width, mean, factor: row[index], count: width)
        biasGradient[index] += row[index]
      }
    }
    return total * share
  }

  /// Turns a row of logits into their gradient; no number if they are none.
  private func crossEntropy(_ row: UnsafeMutablePointer<Float>, _ label: Int, share: Double)
    -> Double
  {
    var highest = -Double.infinity
    for index in 0..<labelCount { highest = max(highest, Double(row[index])) }
    var sum = 0.0
    for index in 0..<labelCount { sum += Elementary.exp(Double(row[index]) - highest) }
    guard sum > 0, sum.isFinite else { return .nan }
    let loss = Elementary.log(sum) + highest - Double(row[label])
    for index in 0..<labelCount {
      let probability = Elementary.exp(Double(row[index]) - highest) / sum
      row[index] = Float((probability - (index == label ? 1 : 0)) * share)
    }
    return loss
  }

  /// The gradient of every token's last hidden state.
  func spread(
    weight: UnsafePointer<Float>, _ layout: TokenLayout, through pooling: Pooling,
    into gradient: UnsafeMutablePointer<Float>
  ) {
    let out = pooledGradient.pointer
    for record in 0..<layout.recordCount {
      let row = logits.pointer + record * labelCount
      Kernels.scale(out, weight, factor: row[0], count: width)
      for label in 1..<max(labelCount, 1) {
        Kernels.addScaled(out, weight + label * width, factor: row[label], count: width)
      }
      pooling.spread(
        out, pooled: pooled.pointer + record * width, length: layout.length(record), width: width,
        into: gradient + layout.starts[record] * width)
    }
  }
}
