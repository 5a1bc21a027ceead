extension Kernels {
  /// Columns of a score matrix with its padding: whole groups of sixteen.
  package static func paddedWidth(_ width: Int) -> Int { (width + 15) & ~15 }

  /// Replaces each row of scores by its softmax.
  ///
  /// Rows are `paddedWidth(width)` apart. The padding ends as zero; meanwhile it adds less than
  /// 2⁻¹²⁰ to a sum of at least one, so it changes no bit of the result.
  package static func softmax(_ scores: Output, rowCount: Int, width: Int) {
    let stride = paddedWidth(width)
    for row in 0..<rowCount {
      let line = scores + row * stride
      for column in width..<stride { line[column] = -1e30 }
      var top = load(line, 0)
      var index = 16
      while index < stride {
        let lanes = load(line, index)
        top.replace(with: lanes, where: lanes .> top)
        index += 16
      }
      let highest = top.max()
      for column in 0..<stride { line[column] = Elementary.exp(line[column] - highest) }
      var total = Lanes.zero
      index = 0
      while index < stride {
        total += load(line, index)
        index += 16
      }
      let factor = 1 / sum(total)
      for column in 0..<stride { line[column] = line[column] * factor }
      // Left as they are, they would be denormal numbers, which are slow wherever they turn up.
      for column in width..<stride { line[column] = 0 }
    }
  }

  /// The gradient through a softmax: `d = scale · p · (d − Σ p·d)`, row by row, in place.
  package static func softmaxGradient(
    _ gradient: Output, probabilities: Input, rowCount: Int, width: Int, scale: Float
  ) {
    let stride = paddedWidth(width)
    for row in 0..<rowCount {
      let line = gradient + row * stride
      let probability = probabilities + row * stride
      for column in width..<stride { line[column] = 0 }
      var lanes = Lanes.zero
      var index = 0
      while index < stride {
        lanes += load(line, index) * load(probability, index)
        index += 16
      }
      let mean = sum(lanes)
      for column in 0..<stride {
        line[column] = scale * probability[column] * (line[column] - mean)
      }
    }
  }
}
