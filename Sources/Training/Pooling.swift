internal import Hashing
internal import ModelFormats
internal import Numerics

/// What the head reads of a record's last hidden states.
///
/// BERT's head reads the mean of all tokens. The heads of DistilBERT and RoBERTa read the first
/// token after a dense layer, whose weights no bare backbone has. It is frozen: taken from the
/// checkpoint or an adapter, or else drawn from a constant seed, so that it is a function of the
/// backbone's width alone and belongs to no record.
struct Pooling: Sendable {
  private let dense: DenseLayer?
  private let isBent: Bool

  /// - Parameter dense: of the head's hidden layer; drawn if absent and the family has one.
  init(_ configuration: EncoderConfiguration, dense: DenseLayer?) {
    isBent = configuration.architecture == .distilbert
    self.dense =
      configuration.architecture.densePath == nil
      ? nil : dense ?? Self.drawn(width: configuration.hiddenSize)
  }

  var layer: DenseLayer? { dense }

  /// Uniform in ±1/√width, as PyTorch starts a linear layer; without bias.
  private static func drawn(width: Int) -> DenseLayer {
    var generator = SeededGenerator(seed: 0x6c65_7468_6501)
    let bound = 1 / Float(width).squareRoot()
    return DenseLayer(
      weight: (0..<width * width).map { _ in (2 * generator.nextUnitFloat() - 1) * bound },
      bias: Array(repeating: 0, count: width))
  }

  /// - Parameter rows: (length, width), the record's last hidden states.
  func pool(
    _ out: UnsafeMutablePointer<Float>, _ rows: UnsafePointer<Float>, length: Int, width: Int
  ) {
    guard let dense else { return mean(out, rows, length: length, width: width) }
    dense.weight.withUnsafeBufferPointer { weight in
      guard let weight = weight.baseAddress else { return }
      for index in 0..<width {
        let sum = Kernels.dot(rows, weight + index * width, count: width) + dense.bias[index]
        out[index] = isBent ? max(sum, 0) : Self.tanh(sum)
      }
    }
  }

  /// The mean of `length` rows, added from the first to the last.
  private func mean(
    _ out: UnsafeMutablePointer<Float>, _ rows: UnsafePointer<Float>, length: Int, width: Int
  ) {
    out.update(from: rows, count: width)
    for row in 1..<max(length, 1) {
      Kernels.addScaled(out, rows + row * width, factor: 1, count: width)
    }
    Kernels.scale(out, out, factor: 1 / Float(length), count: width)
  }

  /// Turns the gradient of what the head reads into that of every token's hidden state.
  ///
  /// - Parameters:
  ///   - gradient: (width), overwritten.
  ///   - pooled: what `pool` made of the record.
  ///   - rows: (length, width), where the result goes.
  func spread(
    _ gradient: UnsafeMutablePointer<Float>, pooled: UnsafePointer<Float>, length: Int, width: Int,
    into rows: UnsafeMutablePointer<Float>
  ) {
    guard let dense else {
      Kernels.scale(gradient, gradient, factor: 1 / Float(length), count: width)
      Kernels.fillRows(
        rows, stride: width, rowCount: length, with: gradient, columnCount: width)
      return
    }
    rows.update(repeating: 0, count: length * width)
    dense.weight.withUnsafeBufferPointer { weight in
      guard let weight = weight.baseAddress else { return }
      for index in 0..<width {
        let slope = isBent ? (pooled[index] > 0 ? 1 : 0) : 1 - pooled[index] * pooled[index]
        Kernels.addScaled(
          rows, weight + index * width, factor: gradient[index] * slope, count: width)
      }
    }
  }

  private static func tanh(_ x: Float) -> Float {
    let shrunk = Elementary.exp(-2 * abs(Double(x)))
    let value = Float((1 - shrunk) / (1 + shrunk))
    return x < 0 ? -value : value
  }
}
