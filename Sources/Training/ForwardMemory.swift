internal import Numerics
import Tokenization

/// Memory for running layers over texts without a backward pass, kept from one call to the next.
///
/// It grows to the largest stretch there was. What a call leaves in it was made of the call's texts
/// and adapters: whoever may not keep that drops the memory.
///
/// - Note: `@unchecked Sendable`: its owner lends it to one thread at a time.
package final class ForwardMemory: @unchecked Sendable {
  private var room: Room
  private(set) var layout: TokenLayout
  private let shape: LayerShape
  let gemm: GEMM

  /// What is sized by the largest stretch.
  struct Room {
    let bounds: BatchBounds
    let pass: LayerPass
    let buffers: LayerBuffers
    /// (tokens, hidden): what all members read.
    let shared: FloatBuffer
    /// (tokens, hidden): what one member makes of it.
    let own: FloatBuffer
    /// (hidden)
    let mean: FloatBuffer

    init(_ shape: LayerShape, _ bounds: BatchBounds, _ gemm: GEMM) {
      self.bounds = bounds
      let scratch = Scratch(shape, bounds, rank: 0, forBackward: false)
      pass = LayerPass(shape: shape, gemm: gemm, scratch: scratch)
      buffers = LayerBuffers(shape, bounds, lora: nil, scratch: scratch, keeping: false)
      shared = FloatBuffer(count: bounds.tokens * shape.hidden)
      own = FloatBuffer(count: bounds.tokens * shape.hidden)
      mean = FloatBuffer(count: shape.hidden)
    }
  }

  package init(_ encoder: Encoder) {
    shape = encoder.shape
    layout = TokenLayout(heads: shape.heads)
    gemm = GEMM()
    room = Room(shape, BatchBounds(tokens: 0, scores: 0, longest: 0), gemm)
  }

  /// Room for these texts, which `layout` describes from now on; what was there before is lost only
  /// if it was too small.
  func room(for texts: [TokenSequence]) -> Room {
    layout.removeAll()
    for text in texts { layout.append(length: text.count) }
    let (tokens, longest) = (layout.tokenCount, texts.reduce(0) { max($0, $1.count) })
    if tokens > room.bounds.tokens || longest > room.bounds.longest {
      room = Room(
        shape,
        BatchBounds(
          tokens: max(tokens, room.bounds.tokens), scores: 0,
          longest: max(longest, room.bounds.longest)), gemm)
    }
    return room
  }
}
