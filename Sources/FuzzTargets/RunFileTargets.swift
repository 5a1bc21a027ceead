import CoordinatorCore
import CoordinatorService
import Hashing
import SystemIO

func runFileSeeds() -> [[UInt8]] {
  let text = """
    // A run.
    {
      name: "words", backbone: '.cache/minilm', data: ["records.jsonl"],
      labels: ["animal", "plant"],
      /* the shape */
      shards: 3, slices: 0x3, sequences: 2, stageData: "cumulative", seed: +1,
      partitionKey: "00112233445566778899aabbccddeeff",
      training: {
        targets: ["query", "value"], rank: 8, alpha: 16., rankStabilized: true, epochs: 3,
        batchSize: 8, learningRate: 2e-3, headLearningRate: .02, schedule: "linear",
        warmup: 0.06, weightDecay: 0.01, maximumGradientNorm: 1, maximumTokens: 128,
      },
      repair: { policy: "batched", quietSeconds: 5, maximumAgeSeconds: 60 },
      coordinator: {
        directory: "words.lethe", workers: "127.0.0.1:0", http: "[::1]:0", deadline: "days:3",
        auditShare: 0.5, journal: ["a", "b"],
      },
    }
    """
  return [text, text.replacing("\"batched\"", with: "\"depth\", depth: 2")].map { Array($0.utf8) }
}

func runRunFile(_ bytes: [UInt8]) {
  guard let file = try? RunFile.parse(bytes) else { return }
  _ = try? file.deadlinePolicy().due(acceptedAt: 1_767_225_600_001)
  _ = try? file.auditShare()
  _ = try? file.aggregation()
  _ = try? file.journalFolders(directory: "words.lethe")
  guard
    let run = try? file.description(backbone: SHA256.hash([1]), layerCount: 6, startingAdapter: nil)
  else { return }
  let created = JournalEntry.created(run)
  demand((try? JournalEntry(encoded: created.encoded)) == created, "a run that is read otherwise")
  guard var state = try? RunState(run) else { return }
  state.refreshKeys()
  demand((try? RunState(encoded: state.encoded)) == state, "a state that is read otherwise")
}

/// Short texts of people: addresses, deadlines, digests.
func addressSeeds() -> [[UInt8]] {
  ["127.0.0.1:80", "[::1]:7000", "65535", "host:0", "days:30", "gdpr", SHA256.hash([1]).hex]
    .map { Array($0.utf8) }
}

func runAddresses(_ bytes: [UInt8]) {
  let text = String(decoding: bytes, as: UTF8.self)
  if let address = NetworkAddress(text) {
    demand(NetworkAddress("\(address)") == address, "an address that is read otherwise")
  }
  if let deadline = DeadlinePolicy(text) {
    demand(deadline.due(acceptedAt: 1_767_225_600_001) > 1_767_225_600_001, "due before it came")
  }
  if let digest = Digest(hex: text) { demand(Digest(hex: digest.hex) == digest, "two digests") }
}
