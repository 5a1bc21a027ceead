import Hashing
import ModelFormats
import Testing
import Tokenization
import Training
import Unlearning

/// What an ensemble may save, and what it may not change by that.
@Suite("Serving")
struct ServingTests {
  /// Rank 2 on query and value of some layers.
  static func member(_ encoder: Encoder, layers: [Int], seed: UInt64) throws -> EnsembleMember {
    var generator = SeededGenerator(seed: seed)
    func values(_ count: Int, _ scale: Float) -> [Float] {
      (0..<count).map { _ in (generator.nextUnitFloat() - 0.5) * scale }
    }
    let width = encoder.configuration.hiddenSize
    let adapters = layers.flatMap { layer in
      [ProjectionTarget.query, .value].map { target in
        Adapter(
          layer: layer, target: target, rank: 2, scale: 1, a: values(2 * width, 0.2),
          b: values(width * 2, 0.2))
      }
    }
    return EnsembleMember(
      encoder: try encoder.adapted(by: adapters),
      head: ClassifierHead(weight: values(3 * width, 1), bias: values(3, 1)))
  }

  /// Texts of every length from one token on, and some more.
  static func texts(_ encoder: Encoder, count: Int, longest: Int) -> [TokenSequence] {
    var generator = SeededGenerator(seed: 6)
    let vocabulary = UInt64(encoder.configuration.vocabularySize)
    return (0..<count).map { index in
      TokenSequence(
        ids: (0...index * 7 % longest).map { _ in Int32(generator.next() % vocabulary) })
    }
  }

  struct Row: Sendable {
    let layers: [[Int]]
    let because: String
  }

  static let rows = [
    Row(layers: [[2, 3], [2, 3], [2, 3]], because: "all at one depth"),
    Row(
      layers: [[3], [1, 2, 3], [2, 3], [0, 1, 2, 3]], because: "each at its own, in no order"),
    Row(layers: [[], [3], []], because: "an emptied shard has no adapter"),
    Row(layers: [[3, 1], [2]], because: "gaps, and none in the top layer"),
    Row(layers: [[1]], because: "alone"),
    Row(layers: [], because: "nobody"),
  ]

  @Test("members that share their lower layers say what each says alone", arguments: rows)
  func shares(_ row: Row) throws {
    let encoder = try Fixture.tiny.get().encoder
    let members = try row.layers.enumerated().map {
      try Self.member(encoder, layers: $1, seed: UInt64($0))
    }
    let texts = Self.texts(encoder, count: 40, longest: 60)
    let memory = ForwardMemory(encoder)
    let shared = try encoder.logits(of: texts, members: members, memory: memory)
    let unshared = try encoder.logits(of: texts, members: members, memory: memory, sharing: false)
    #expect(shared == unshared, "\(row.because)")
    #expect(shared == (try members.map { try $0.encoder.logits(of: texts, head: $0.head) }))
    #expect(Set(shared).count == members.count, "each has something else to say")
  }

  @Test("a text's logits are the same alone, in any company, and in used memory")
  func company() throws {
    let encoder = try Fixture.tiny.get().encoder
    try Self.checkCompany(encoder, count: 30, longest: 60)
  }

  @Test(
    "the same with the real MiniLM, whose texts share products where that changes no bit",
    .enabled(
      if: ReferenceTests.hasMiniLM,
      "SKIPPED: no MiniLM; run ops/fetch-backbone or set LETHE_MINILM to its folder"))
  func miniLM() throws {
    let encoder = try Fixture("minilm", model: Fixture.miniLM).encoder
    try Self.checkCompany(encoder, count: 24, longest: 60)
    let members = try [[3, 4, 5], [5], [4, 5]].enumerated().map {
      try Self.member(encoder, layers: $1, seed: UInt64($0))
    }
    let texts = Self.texts(encoder, count: 20, longest: 50)
    let memory = ForwardMemory(encoder)
    #expect(
      try encoder.logits(of: texts, members: members, memory: memory)
        == encoder.logits(of: texts, members: members, memory: memory, sharing: false))
  }

  static func checkCompany(_ encoder: Encoder, count: Int, longest: Int) throws {
    let members = try [member(encoder, layers: [2, 3], seed: 1)]
    let texts = texts(encoder, count: count, longest: longest)
    let used = ForwardMemory(encoder)
    let together = try encoder.logits(of: texts, members: members, memory: used)[0]
    let backwards = try encoder.logits(of: texts.reversed(), members: members, memory: used)[0]
    #expect(Array(backwards.reversed()) == together)
    for (index, text) in texts.enumerated() {
      let alone = try encoder.logits(of: [text], members: members, memory: used)[0][0]
      #expect(alone == together[index], "\(text.count) tokens")
      let fresh = try encoder.logits(of: [text], members: members, memory: ForwardMemory(encoder))
      #expect(fresh[0][0] == alone, "\(text.count) tokens")
    }
    for size in [2, 3, 7] {
      for start in stride(from: 0, to: texts.count - size, by: size) {
        let some = Array(texts[start..<start + size])
        #expect(
          try encoder.logits(of: some, members: members, memory: used)[0]
            == Array(together[start..<start + size]))
      }
    }
  }
}
