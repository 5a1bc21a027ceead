import Foundation
import Hashing
import Testing
import Tokenization

/// The words of every Unicode scalar, held to digests recorded from the reference.
@Suite("Normalisation") struct UnicodeReferenceTests {
  /// One line of `words.tsv`: 4,096 code points and the digest of their words per variant.
  struct Block: Sendable, CustomTestStringConvertible {
    let first: UInt32
    let digests: [String]
    var testDescription: String { "U+\(String(first, radix: 16))" }
  }

  static let blocks: [Block] = fixtureLines("unicode/words.tsv").compactMap { line in
    let fields = line.split(separator: "\t").map(String.init)
    guard fields.count == 5, let first = UInt32(fields[0], radix: 16) else { return nil }
    return Block(first: first, digests: Array(fields[1...]))
  }

  /// In the order of the file's columns.
  static let variants = [
    TextNormalization(lowercases: true),
    TextNormalization(lowercases: false),
    TextNormalization(lowercases: false, stripsAccents: true),
    TextNormalization(lowercases: true, stripsAccents: false),
  ]

  @Test("has every block but the one that is half surrogates")
  func complete() {
    #expect(Self.blocks.count == 272)
  }

  @Test("equals the reference for every scalar, alone and among marks", arguments: blocks)
  func equalsReference(_ block: Block) {
    for (variant, digest) in zip(Self.variants, block.digests) {
      var hasher = SHA256()
      for value in block.first..<block.first + 4096 {
        guard let scalar = Unicode.Scalar(value) else { continue }
        let text = "aB\(scalar)c \u{301}\(scalar)\u{334}\u{93c}\(scalar)D"
        hasher.update(normalizedWords(text, variant).joined(separator: [0x1f]) + [0x0a])
      }
      let found = hasher.finalize().hex
      #expect(found == digest, "U+\(String(block.first, radix: 16)), \(variant)")
    }
  }
}
