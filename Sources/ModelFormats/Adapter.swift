package import Unlearning

/// Names one projection of one layer, counted from the input upwards.
package struct AdapterPlace: Hashable, Comparable, Sendable {
  package var layer: Int
  package var target: ProjectionTarget

  package init(layer: Int, target: ProjectionTarget) {
    self.layer = layer
    self.target = target
  }

  package static func < (left: Self, right: Self) -> Bool {
    (left.layer, left.target.ordinal) < (right.layer, right.target.ordinal)
  }
}

/// One low-rank pair on one projection: the projection's weight becomes `W + scale · B·A`.
///
/// | name | shape | layout |
/// |-|-|-|
/// | `a` | (rank, inputs) | row-major, as PEFT stores `lora_A` |
/// | `b` | (outputs, rank) | row-major, as PEFT stores `lora_B` |
package struct Adapter: Equatable, Sendable {
  package var place: AdapterPlace
  package var rank: Int
  package var scale: Float
  package var a: [Float]
  package var b: [Float]

  package init(
    layer: Int, target: ProjectionTarget, rank: Int, scale: Float, a: [Float], b: [Float]
  ) {
    precondition(rank > 0 && a.count.isMultiple(of: rank) && b.count.isMultiple(of: rank))
    place = AdapterPlace(layer: layer, target: target)
    self.rank = rank
    self.scale = scale
    self.a = a
    self.b = b
  }

  package var layer: Int { place.layer }
  package var target: ProjectionTarget { place.target }
  package var inputCount: Int { a.count / rank }
  package var outputCount: Int { b.count / rank }
}

/// The linear layer that turns a record's mean vector into one logit per label.
package struct ClassifierHead: Equatable, Sendable {
  package var labelCount: Int
  /// (labelCount, hidden), row-major.
  package var weight: [Float]
  package var bias: [Float]

  package init(weight: [Float], bias: [Float]) {
    precondition(!bias.isEmpty && weight.count.isMultiple(of: bias.count))
    labelCount = bias.count
    self.weight = weight
    self.bias = bias
  }

  package static func zero(labelCount: Int, hiddenSize: Int) -> ClassifierHead {
    ClassifierHead(
      weight: Array(repeating: 0, count: labelCount * hiddenSize),
      bias: Array(repeating: 0, count: labelCount))
  }

  package var hiddenSize: Int { weight.count / labelCount }

  package var isZero: Bool { weight.allSatisfy { $0 == 0 } && bias.allSatisfy { $0 == 0 } }
}
