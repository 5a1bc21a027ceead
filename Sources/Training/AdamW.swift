internal import Numerics

/// Adam with decoupled weight decay over one flat vector, as torch computes it.
///
/// Factors are made in double precision and rounded once; powers of the betas are kept as products,
/// so no library function has a part in them.
///
/// - SeeAlso: Loshchilov and Hutter, arXiv 1711.05101, algorithm 2.
struct AdamW {
  static let betaFirst = 0.9
  static let betaSecond = 0.999
  static let epsilon: Float = 1e-8

  let first: FloatBuffer
  let second: FloatBuffer
  private(set) var stepsDone = 0
  private var firstPower = 1.0
  private var secondPower = 1.0

  init(count: Int) {
    first = FloatBuffer(count: count)
    second = FloatBuffer(count: count)
  }

  mutating func advance() {
    stepsDone += 1
    firstPower *= Self.betaFirst
    secondPower *= Self.betaSecond
  }

  mutating func restore(first: [Float], second: [Float], stepsDone: Int) {
    for index in first.indices {
      self.first.pointer[index] = first[index]
      self.second.pointer[index] = second[index]
    }
    (self.stepsDone, firstPower, secondPower) = (0, 1, 1)
    while self.stepsDone < stepsDone { advance() }
  }

  /// One step for a range of the vector; call `advance` first, once for all ranges.
  func update(
    _ parameters: UnsafeMutablePointer<Float>, gradients: UnsafePointer<Float>, range: Range<Int>,
    learningRate: Double, weightDecay: Double
  ) {
    let keep = Float(1 - learningRate * weightDecay)
    let rise = Float(1 - Self.betaFirst)
    let decay = Float(Self.betaSecond)
    let share = Float(1 - Self.betaSecond)
    let stepSize = Float(learningRate / (1 - firstPower))
    let root = Float((1 - secondPower).squareRoot())
    let (first, second) = (first.pointer, second.pointer)
    for index in range {
      let gradient = gradients[index]
      let mean = first[index] + rise * (gradient - first[index])
      let square = second[index] * decay + share * gradient * gradient
      first[index] = mean
      second[index] = square
      let denominator = square.squareRoot() / root + Self.epsilon
      parameters[index] = parameters[index] * keep - stepSize * (mean / denominator)
    }
  }
}
