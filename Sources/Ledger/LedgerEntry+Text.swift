import Hashing

extension LedgerEntry {
  private static let deletionLine = "lethe-ledger-entry-1 deletion"
  private static let certificateLine = "lethe-ledger-entry-1 certificate"

  /// The entry's lines; its leaf in the ledger is these bytes.
  package var text: String {
    let lines =
      switch self {
      case .deletion(let entry): [Self.deletionLine] + entry.lines
      case .certificate(let entry): [Self.certificateLine] + entry.lines
      }
    return lines.map { $0 + "\n" }.joined()
  }

  package var bytes: [UInt8] { Array(text.utf8) }

  package var leafHash: Digest { MerkleTree.leafHash(bytes) }

  /// Reads exactly what `text` writes.
  package init(text: String) throws(LedgerTextProblem) {
    var reader = LineReader(Array(text.utf8))
    switch try reader.next("kind") {
    case Self.deletionLine: self = .deletion(try DeletionEntry(&reader))
    case Self.certificateLine: self = .certificate(try CertificateEntry(&reader))
    default: throw .unknownKind
    }
    try reader.finish()
  }
}

extension DeletionEntry {
  fileprivate var lines: [String] {
    [
      "number \(number)",
      "accepted-at \(acceptedAt)",
      "records \(records)",
      "commitments \(commitments.hex)",
      "blocks-masked \(blocksMasked)",
      "masked \(masked.hex)",
    ]
  }

  fileprivate init(_ reader: inout LineReader) throws(LedgerTextProblem) {
    let number: UInt64 = try reader.number("number")
    let acceptedAt = try reader.number("accepted-at", upTo: LedgerEntry.times.upperBound)
    let records: Int = try reader.number("records")
    let commitments = try reader.digest("commitments")
    let blocksMasked: Int = try reader.number("blocks-masked")
    let masked = try reader.digest("masked")
    self.init(
      number: number, acceptedAt: acceptedAt, records: records, commitments: commitments,
      blocksMasked: blocksMasked, masked: masked)
  }
}

extension CertificateEntry {
  fileprivate var lines: [String] {
    let head = [
      "number \(number)",
      "masked-at \(maskedAt)",
      "purged-at \(purgedAt)",
      "repaired-at \(repairedAt)",
      "certified-at \(certifiedAt)",
    ]
    let claims = erasure.map { "erasure \($0.level.rawValue) \($0.location)" }
    return head + claims + [
      "replacements \(replacements)",
      "replacements-root \(replacementsRoot.hex)",
    ]
  }

  fileprivate init(_ reader: inout LineReader) throws(LedgerTextProblem) {
    let latest = LedgerEntry.times.upperBound
    let number: UInt64 = try reader.number("number")
    let maskedAt = try reader.number("masked-at", upTo: latest)
    let purgedAt = try reader.number("purged-at", upTo: latest)
    let repairedAt = try reader.number("repaired-at", upTo: latest)
    let certifiedAt = try reader.number("certified-at", upTo: latest)
    var erasure: [ErasureClaim] = []
    while reader.isNext("erasure") {
      guard let claim = ErasureClaim(line: try reader.value("erasure")) else {
        throw .line(reader.line, expected: "erasure")
      }
      erasure.append(claim)
    }
    let replacements: Int = try reader.number("replacements")
    let replacementsRoot = try reader.digest("replacements-root")
    self.init(
      number: number, maskedAt: maskedAt, purgedAt: purgedAt, repairedAt: repairedAt,
      certifiedAt: certifiedAt, erasure: erasure, replacements: replacements,
      replacementsRoot: replacementsRoot)
  }
}

extension ErasureClaim {
  /// Reads a level, a space and a location.
  fileprivate init?(line: String) {
    let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let level = ErasureLevel(rawValue: String(parts[0])),
      Self.isLocation(String(parts[1]))
    else { return nil }
    self.init(location: String(parts[1]), level: level)
  }
}
