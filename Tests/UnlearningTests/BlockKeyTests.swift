import Foundation
import Hashing
import Testing
import Unlearning

@Suite("Block keys") struct BlockKeyTests {
  static let example = BlockIngredients(
    numericClass: SHA256.hash([1]), backbone: SHA256.hash([2]), recipe: SHA256.hash([3]),
    layers: 2..<4, seed: 0x0102_0304_0506_0708, parent: BlockKey(SHA256.hash([4])),
    slices: [SHA256.hash([5]), SHA256.hash([6])])

  @Test("the worked example of Protocols/block-key.md holds")
  func document() throws {
    let hex = try Self.page().filter { !$0.isWhitespace }
    #expect(hex.contains(Self.example.encoded.hex))
    #expect(hex.contains(Self.example.key.description))
  }

  @Test(
    "the slices of Protocols/block-key.md have the digests it says", arguments: [0, 1, 16, 17, 256])
  func documentedSlices(recordCount: Int) throws {
    let digest = LineageDigest.slice(
      recordDigests: (0..<recordCount).map { SHA256.hash([UInt8($0)]) })
    #expect(try Self.page().contains("| \(recordCount) | `\(digest)` |"))
  }

  static func page() throws -> String {
    let root = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return try String(
      contentsOf: root.appendingPathComponent("Protocols/block-key.md"), encoding: .utf8)
  }

  @Test("every ingredient changes the key")
  func everyField() {
    let other = SHA256.hash([99])
    let changes: [(inout BlockIngredients) -> Void] = [
      { $0.numericClass = other }, { $0.backbone = other }, { $0.recipe = other },
      { $0.layers = 2..<5 }, { $0.layers = 1..<4 }, { $0.seed += 1 }, { $0.parent = nil },
      { $0.parent = BlockKey(other) }, { $0.slices.reverse() }, { $0.slices.removeLast() },
    ]
    var keys: Set<BlockKey> = [Self.example.key]
    for change in changes {
      var changed = Self.example
      change(&changed)
      #expect(keys.insert(changed.key).inserted)
    }
  }

  @Test("every field of a recipe changes its digest, and its encoding reads back")
  func recipe() throws {
    let recipe = TrainingRecipe(labels: ["a", "b"])
    let changes: [(inout TrainingRecipe) -> Void] = [
      { $0.labels.reverse() }, { $0.targets = [.key] }, { $0.rank += 1 }, { $0.alpha += 1 },
      { $0.rankStabilized.toggle() }, { $0.epochs += 1 }, { $0.batchSize += 1 },
      { $0.learningRate *= 2 }, { $0.headLearningRate *= 2 }, { $0.schedule = .constant },
      { $0.warmup += 0.1 }, { $0.weightDecay += 0.1 }, { $0.maximumGradientNorm += 1 },
      { $0.maximumTokens += 1 }, { $0.headStart = .closedForm }, { $0.stageRateFactor = 0.5 },
      { $0.startingAdapter = SHA256.hash([1]) }, { $0.startingAdapter = SHA256.hash([2]) },
      { ($0.startingAdapter, $0.headStart) = (SHA256.hash([1]), .closedForm) },
    ]
    var digests: Set<Digest> = [LineageDigest.recipe(recipe)]
    for change in changes {
      var changed = recipe
      change(&changed)
      #expect(digests.insert(LineageDigest.recipe(changed)).inserted)
      #expect(try TrainingRecipe(encoded: changed.encoded) == changed)
    }
  }

  @Test("what a worker must have covers the starting adapter, and is the backbone without one")
  func model() {
    let (backbone, adapter) = (SHA256.hash([1]), SHA256.hash([2]))
    #expect(LineageDigest.model(backbone: backbone, startingAdapter: nil) == backbone)
    let both = LineageDigest.model(backbone: backbone, startingAdapter: adapter)
    #expect(both != backbone && both != adapter)
    #expect(both != LineageDigest.model(backbone: adapter, startingAdapter: backbone))
  }

  @Test("a slice's digest forgets the order of its records, and nothing else")
  func slice() {
    let digests = (0..<5).map { SHA256.hash([$0]) }
    let digest = LineageDigest.slice(recordDigests: digests)
    #expect(digest == LineageDigest.slice(recordDigests: digests.reversed()))
    #expect(digest != LineageDigest.slice(recordDigests: digests.dropLast()))
    #expect(LineageDigest.slice(recordDigests: [Digest]()) != digest)
  }
}
