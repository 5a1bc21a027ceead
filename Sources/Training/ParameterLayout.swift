internal import ModelFormats
internal import Numerics
internal import Unlearning

/// Where each trained tensor stands in the flat vectors of parameters, gradients and moments.
///
/// Layers from the input upwards; in a layer the group of query, key and value first, then the
/// others in canonical order; in a group all `a` before all `b`; the head at the end, weight before
/// bias.
struct ParameterLayout {
  struct Entry {
    var place: AdapterPlace
    var a: Range<Int>
    var b: Range<Int>
  }

  private(set) var entries: [Entry] = []
  let headWeight: Range<Int>
  let headBias: Range<Int>
  let rank: Int

  init(layers: [Int], targets: [ProjectionTarget], rank: Int, labelCount: Int, _ shape: LayerShape)
  {
    self.rank = rank
    var end = 0
    func take(_ count: Int) -> Range<Int> {
      defer { end += count }
      return end..<end + count
    }
    let input = targets.filter { $0 <= .value }.sorted()
    let groups = [input] + targets.filter { $0 > .value }.sorted().map { [$0] }
    for layer in layers {
      for group in groups {
        let downs = group.map { take(rank * shape.size(of: $0).inputs) }
        for (target, a) in zip(group, downs) {
          let b = take(rank * shape.size(of: target).outputs)
          entries.append(Entry(place: AdapterPlace(layer: layer, target: target), a: a, b: b))
        }
      }
    }
    headWeight = take(labelCount * shape.hidden)
    headBias = take(labelCount)
  }

  var count: Int { headBias.upperBound }
  var adapters: Range<Int> { 0..<headWeight.lowerBound }
  var head: Range<Int> { headWeight.lowerBound..<headBias.upperBound }

  /// The adapters of one layer as the passes need them; `nil` for a layer that is not trained.
  func lora(_ layer: Int, parameters: FloatBuffer, gradients: FloatBuffer, scale: Float)
    -> LayerLoRA?
  {
    let own = entries.filter { $0.place.layer == layer }
    guard !own.isEmpty else { return nil }
    var lora = LayerLoRA(rank: rank, scale: scale)
    for entry in own {
      let pair = LayerLoRA.Pair(
        a: parameters.pointer + entry.a.lowerBound, b: parameters.pointer + entry.b.lowerBound,
        aGradient: gradients.pointer + entry.a.lowerBound,
        bGradient: gradients.pointer + entry.b.lowerBound)
      switch entry.place.target {
      case .query, .key, .value: lora.input.append((entry.place.target.ordinal, pair))
      case .attentionOutput: lora.attentionOutput = pair
      case .intermediate: lora.intermediate = pair
      case .output: lora.output = pair
      }
    }
    return lora
  }

  /// Cuts a flat vector into adapters and a head.
  func split(_ vector: FloatBuffer, scale: Float) -> (adapters: [Adapter], head: ClassifierHead) {
    func values(_ range: Range<Int>) -> [Float] {
      Array(UnsafeBufferPointer(start: vector.pointer + range.lowerBound, count: range.count))
    }
    let adapters = entries.map { entry in
      Adapter(
        layer: entry.place.layer, target: entry.place.target, rank: rank, scale: scale,
        a: values(entry.a), b: values(entry.b))
    }
    return (adapters, ClassifierHead(weight: values(headWeight), bias: values(headBias)))
  }
}
