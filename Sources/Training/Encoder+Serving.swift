package import ModelFormats
internal import Numerics
import Tokenization

/// One voice of an ensemble: an encoder with its adapters, and the head that reads it.
package struct EnsembleMember: Sendable {
  package var encoder: AdaptedEncoder
  package var head: ClassifierHead

  package init(encoder: AdaptedEncoder, head: ClassifierHead) {
    self.encoder = encoder
    self.head = head
  }
}

extension Encoder {
  /// One row of logits per member and sequence, in their order.
  ///
  /// Below a member's lowest adapter its layers are the backbone's own. They run once for all
  /// members, from the bottom to the first adapter of any, on to that of the next, and so on;
  /// above, each runs its own. No product changes by that, so the bits are those of the member
  /// alone.
  ///
  /// A text's logits are the same alone and in any company, in every numeric class
  /// (`RowIndependence`).
  ///
  /// - Parameters:
  ///   - members: adapted from this encoder.
  ///   - sharing: without it, each member runs every layer by itself; for comparison.
  package func logits(
    of sequences: [TokenSequence], members: [EnsembleMember], memory: ForwardMemory,
    sharing: Bool = true
  ) throws(TrainingError) -> [[[Float]]] {
    try logits(of: sequences, members: members, memory: memory, sharing: sharing) { true }!
  }

  /// The same, or `nil` where `goesOn` says no; it is asked before a member works on some texts.
  package func logits(
    of sequences: [TokenSequence], members: [EnsembleMember], memory: ForwardMemory,
    sharing: Bool = true, while goesOn: () -> Bool
  ) throws(TrainingError) -> [[[Float]]]? {
    try check(sequences)
    for member in members {
      precondition(member.encoder.encoder === self)
      try check(member.head, labelCount: member.head.labelCount)
    }
    var logits = [[[Float]]](
      repeating: Array(repeating: [], count: sequences.count), count: members.count)
    // Lowest adapter first: the shared rows only move up.
    let order = members.indices.sorted {
      (members[$0].encoder.lowestAdaptedLayer, $0) < (members[$1].encoder.lowestAdaptedLayer, $1)
    }
    for stretch in rows.stretches(of: sequences, tokenLimit: Self.servedTokenCount) {
      let texts = rows.filled(sequences[stretch])
      let room = memory.room(for: texts)
      var level: Int?
      for index in order {
        guard goesOn() else { return nil }
        if !sharing { level = nil }
        let last = runMember(members[index].encoder, texts, above: &level, room, memory.layout)
        for (record, sequence) in stretch.enumerated() {
          pooling.pool(
            room.mean.pointer, last + memory.layout.starts[record] * shape.hidden,
            length: memory.layout.length(record), width: shape.hidden)
          logits[index][sequence] = members[index].head.logits(of: room.mean.pointer)
        }
      }
    }
    return logits
  }

  /// Texts go through the layers together until there are at least so many tokens: enough for full
  /// speed, and forty megabytes to work in. No bit depends on it.
  static let servedTokenCount = 1536

  /// Takes the shared rows up to a member's lowest adapter and runs its own layers on a copy.
  ///
  /// - Parameter level: the layer that the shared rows enter; `nil` before the first.
  /// - Returns: the rows that leave the last layer.
  private func runMember(
    _ member: AdaptedEncoder, _ texts: [TokenSequence], above level: inout Int?,
    _ room: ForwardMemory.Room, _ layout: TokenLayout
  ) -> UnsafePointer<Float> {
    let shared = room.shared.pointer
    if level == nil { embed(texts[...], into: shared, room.buffers) }
    let lowest = member.lowestAdaptedLayer
    for index in (level ?? 0)..<lowest {
      room.pass.forward(
        layers[index], shared, into: shared, layout, room.buffers, lora: nil, keeping: false)
    }
    level = lowest
    var entering = UnsafePointer(shared)
    for weights in member.layers[lowest...] {
      room.pass.forward(
        weights, entering, into: room.own.pointer, layout, room.buffers, lora: nil, keeping: false)
      entering = UnsafePointer(room.own.pointer)
    }
    return entering
  }
}
