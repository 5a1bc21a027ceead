import Foundation
import ModelFormats
import Testing
import Unlearning

/// What passes for a trained block, and everything that does not.
@Suite("The form of a block") struct BlockFormTests {
  static let recipe = TrainingRecipe(
    labels: ["a", "b", "c"], targets: [.query, .value, .intermediate, .output], rank: 2)
  static let shape = EncoderConfiguration(
    layerCount: 12, hiddenSize: 4, headCount: 1, intermediateSize: 6, vocabularySize: 9,
    positionCount: 9)
  static let form = BlockForm(recipe, shape)
  /// Ten sorts before nine by name.
  static let layers = 9..<11
  static let seed: [UInt8] = [10, 200, 30, 40, 50]
  static let right = form.madeUp(layers: layers, seed: seed)

  /// The right block with some of its tensors changed, written as the reference writes them.
  static func changed(_ change: (inout [NamedTensor]) -> Void) -> [UInt8] {
    var tensors = form.tensors(layers: layers).map {
      NamedTensor(
        name: $0.name, shape: $0.shape, values: Array(repeating: 0.5, count: $0.valueCount))
    }
    change(&tensors)
    return SafetensorsWriter.encode(tensors)
  }

  /// The right block under another header, over the same values.
  static func rewritten(_ change: (String) -> String) -> [UInt8] {
    let length = Int(right[0]) | Int(right[1]) << 8
    let header = change(String(decoding: right[8..<8 + length], as: UTF8.self))
    let count = UInt64(header.utf8.count)
    return withUnsafeBytes(of: count.littleEndian) { Array($0) } + Array(header.utf8)
      + right[(8 + length)...]
  }

  @Test("what a worker trains is exactly of this form")
  func right() throws {
    try Self.form.check(Self.right, layers: Self.layers)
    #expect(Self.right.count == Self.form.byteCount(layers: Self.layers))
    let adapters = Self.layers.flatMap { layer in
      Self.recipe.targets.map { target in
        let sizes: (inputs: Int, outputs: Int) =
          target == .intermediate ? (4, 6) : target == .output ? (6, 4) : (4, 4)
        return Adapter(
          layer: layer, target: target, rank: 2, scale: 1,
          a: Array(repeating: 0.25, count: 2 * sizes.inputs),
          b: Array(repeating: -1, count: 2 * sizes.outputs))
      }
    }
    let trained = PEFTAdapter(
      rank: 2, alpha: 16, rankStabilized: true, adapters: adapters,
      head: .zero(labelCount: 3, hiddenSize: 4))
    try Self.form.check(
      SafetensorsWriter.encode(trained.tensors, metadata: [:]), layers: Self.layers)
    let headAlone = PEFTAdapter(
      rank: 2, alpha: 16, rankStabilized: true, adapters: [],
      head: .zero(labelCount: 3, hiddenSize: 4))
    let empty = SafetensorsWriter.encode(headAlone.tensors, metadata: [:])
    #expect(empty == Self.form.handedOn(parent: nil))
    try Self.form.checkHandedOn(empty, parent: nil)
  }

  struct Row: Sendable, CustomTestStringConvertible {
    var bytes: [UInt8]
    var because: String
    /// Words of the reason, where it matters which it is.
    var says = ""
    var testDescription: String { because }
  }

  static let bad: [Row] = {
    func swap(_ name: String) -> [UInt8] {
      changed { tensors in
        let index = tensors.firstIndex { $0.name.hasSuffix(name) }!
        tensors[index].shape.reverse()
      }
    }
    var rows = [
      Row(bytes: [], because: "nothing at all"),
      Row(bytes: Array("lethe".utf8), because: "no file of tensors"),
      Row(bytes: Array(right.dropLast()), because: "the last byte is missing"),
      Row(bytes: right + [0], because: "a byte too many"),
      Row(bytes: Array(repeating: 0, count: right.count), because: "zeros of the right length"),
      Row(
        bytes: swap("10.attention.self.query.lora_A.weight"), because: "A the wrong way round",
        says: "has shape"),
      Row(
        bytes: swap("9.output.dense.lora_B.weight"), because: "B the wrong way round",
        says: "has shape"),
      Row(bytes: swap("classifier.weight"), because: "a head the wrong way round"),
      Row(
        bytes: changed { tensors in tensors.removeAll { $0.name.hasSuffix("lora_B.weight") } },
        because: "no B at all"),
      Row(bytes: changed { $0.removeLast() }, because: "no head"),
      Row(bytes: changed { $0.removeFirst() }, because: "a tensor is missing"),
      Row(
        bytes: changed { tensors in
          tensors.append(NamedTensor(name: "base_model.x", shape: [1], values: [1]))
        }, because: "a tensor too many", says: "where the block has"),
      Row(
        bytes: changed {
          $0 = [NamedTensor(name: "t", shape: [64], values: .init(repeating: 1, count: 64))]
        }, because: "one tensor of another name"),
      Row(
        bytes: changed { tensors in
          for index in tensors.indices { tensors[index].name += ".default" }
        }, because: "names that PEFT would take"),
      Row(bytes: form.madeUp(layers: 3..<5, seed: seed), because: "the block of other layers"),
      Row(bytes: form.madeUp(layers: 9..<10, seed: seed), because: "half of the layers"),
      Row(bytes: form.madeUp(layers: 8..<11, seed: seed), because: "one layer more"),
      Row(bytes: form.handedOn(parent: nil), because: "a head alone, though there are records"),
      Row(
        bytes: BlockForm(TrainingRecipe(labels: ["a", "b"], rank: 2), shape)
          .madeUp(layers: layers, seed: seed), because: "another recipe's labels and targets"),
      Row(
        bytes: rewritten { $0.replacingOccurrences(of: #""F32""#, with: #""I32""#) },
        because: "whole numbers", says: "is I32"),
      Row(
        bytes: rewritten { $0.trimmingCharacters(in: .whitespaces) + "         " },
        because: "more padding than there must be"),
      Row(
        bytes: rewritten {
          #"{"__metadata__":{"x":"y"},"# + $0.dropFirst()
        }, because: "remarks"),
      Row(
        bytes: rewritten {
          $0.replacingOccurrences(of: #""dtype":"F32","shape""#, with: #""shape""#)
        }, because: "a tensor without a type"),
    ]
    for (value, word) in [(Float.nan, "NaN"), (.infinity, "infinity"), (-.infinity, "-infinity")] {
      for place in [0, 5] {
        rows.append(
          Row(
            bytes: changed { $0[place].values[0] = value },
            because: "\(word) in tensor \(place)"))
      }
    }
    // The members of a tensor in another order: the same length, the same tensors.
    rows.append(
      Row(
        bytes: rewritten { header in
          header.replacingOccurrences(
            of: #""dtype":"F32","shape":[3],"#, with: #""shape":[3],"dtype":"F32","#)
        }, because: "members of the header in another order", says: "not written in the one form"))
    return rows
  }()

  @Test("whatever is not exactly the block is refused, with a reason", arguments: bad)
  func refused(_ row: Row) {
    #expect(row.bytes != Self.right)
    do {
      try Self.form.check(row.bytes, layers: Self.layers)
      Issue.record("taken: \(row.because)")
    } catch {
      #expect("\(error)".contains(row.says) || row.says.isEmpty, "\(error)")
      #expect(!"\(error)".isEmpty && "\(error)".utf8.count < 1000)
      #expect("\(error)".unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.isASCII })
    }
  }

  @Test("a name that a peer made up is short and plain in the reason")
  func names() {
    let name = "\u{1b}[2J\nforged" + String(repeating: "x", count: 600)
    let bytes = SafetensorsWriter.encode(
      Self.form.tensors(layers: 0..<0).map {
        NamedTensor(
          name: $0.name, shape: $0.shape, values: .init(repeating: 0, count: $0.valueCount))
      } + [NamedTensor(name: name, shape: [0], values: [])])
    let problem = BlockProblem.unreadable(.malformedTensor(name: name, reason: "why"))
    #expect("\(problem)".utf8.count < 300 && !"\(problem)".contains("\u{1b}"))
    #expect(throws: BlockProblem.self) { try Self.form.check(bytes, layers: 0..<0) }
  }

  @Test("what is too large is refused by its length alone")
  func large() {
    let bytes = [UInt8](repeating: 0, count: Self.right.count + 1)
    #expect(
      throws: BlockProblem.tooLarge(byteCount: bytes.count, expected: Self.right.count)
    ) { try Self.form.check(bytes, layers: Self.layers) }
  }

  @Test("a stage without records hands on exactly its parent's head")
  func handsOn() throws {
    let (form, parent) = (Self.form, Self.right)
    let child = form.handedOn(parent: parent)
    try form.checkHandedOn(child, parent: parent)
    // Through several empty stages in a row.
    try form.checkHandedOn(form.handedOn(parent: child), parent: child)
    var other = child
    other[other.count - 1] ^= 1
    #expect(throws: BlockProblem.otherHead) { try form.checkHandedOn(other, parent: parent) }
    #expect(throws: BlockProblem.otherHead) { try form.checkHandedOn(child, parent: nil) }
    #expect(throws: BlockProblem.otherHead) {
      try form.checkHandedOn(form.handedOn(parent: nil), parent: parent)
    }
    #expect(throws: BlockProblem.self) { try form.checkHandedOn(parent, parent: parent) }
  }
}
