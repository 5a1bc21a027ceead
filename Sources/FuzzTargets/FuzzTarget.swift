/// A parser that takes bytes from outside, with valid inputs to start from.
///
/// Whatever the bytes are, `run` comes back: a trap, a second of work or memory beyond a small
/// multiple of the input is a mistake of the parser. Where what was read can be written again,
/// `run` also holds the parser to what the writer wrote.
package struct FuzzTarget: Sendable {
  package let name: String
  /// How many changed inputs the tests run, within half a second or so.
  package let testExecutionCount: Int
  /// Valid inputs, the same on every run.
  package let seeds: @Sendable () -> [[UInt8]]
  package let run: @Sendable ([UInt8]) -> Void

  init(
    _ name: String, testExecutionCount: Int = 100_000,
    seeds: @escaping @Sendable () -> [[UInt8]], run: @escaping @Sendable ([UInt8]) -> Void
  ) {
    self.name = name
    self.testExecutionCount = testExecutionCount
    self.seeds = seeds
    self.run = run
  }

  /// Every target; a new parser is one more line.
  package static let all: [FuzzTarget] = [
    FuzzTarget("wire-message", seeds: wireMessageSeeds, run: runWireMessage),
    FuzzTarget(
      "wire-worker-stream", testExecutionCount: 10_000, seeds: wireWorkerStreamSeeds,
      run: runWireWorkerStream),
    FuzzTarget(
      "wire-coordinator-stream", testExecutionCount: 10_000, seeds: wireCoordinatorStreamSeeds,
      run: runWireCoordinatorStream),
    FuzzTarget(
      "journal-segment", testExecutionCount: 40_000, seeds: journalSegmentSeeds,
      run: runJournalSegment),
    FuzzTarget("journal-entry", seeds: journalEntrySeeds, run: runJournalEntry),
    FuzzTarget("journal-names", seeds: journalNameSeeds, run: runJournalNames),
    FuzzTarget("snapshot-file", seeds: snapshotFileSeeds, run: runSnapshotFile),
    FuzzTarget(
      "run-state", testExecutionCount: 15_000, seeds: runStateSeeds, run: runRunState),
    FuzzTarget("record", seeds: recordSeeds, run: runRecord),
    FuzzTarget(
      "record-table", testExecutionCount: 5_000, seeds: recordTableSeeds, run: runRecordTable),
    FuzzTarget("safetensors", seeds: safetensorsSeeds, run: runSafetensors),
    FuzzTarget(
      "peft-adapter", testExecutionCount: 40_000, seeds: peftAdapterSeeds, run: runPEFTAdapter),
    FuzzTarget("json", seeds: jsonSeeds, run: runJSON),
    FuzzTarget("json5", seeds: json5Seeds, run: runJSON5),
    FuzzTarget("encoder-config", seeds: encoderConfigurationSeeds, run: runEncoderConfiguration),
    FuzzTarget("vocabulary", seeds: vocabularySeeds, run: runVocabulary),
    FuzzTarget("merges", seeds: mergesSeeds, run: runMerges),
    FuzzTarget("dataset-jsonl", seeds: jsonLinesSeeds, run: runJSONLines),
    FuzzTarget("dataset-csv", seeds: csvSeeds, run: runCSV),
    FuzzTarget(
      "http-request", testExecutionCount: 40_000, seeds: httpRequestSeeds, run: runHTTPRequest),
    FuzzTarget("api-bodies", seeds: apiBodySeeds, run: runAPIBodies),
    FuzzTarget("receipt", testExecutionCount: 10_000, seeds: receiptSeeds, run: runReceipt),
    FuzzTarget("ledger-proof", seeds: ledgerProofSeeds, run: runLedgerProof),
    FuzzTarget("ledger-text", seeds: ledgerTextSeeds, run: runLedgerText),
    FuzzTarget("run-file", seeds: runFileSeeds, run: runRunFile),
    FuzzTarget("addresses", seeds: addressSeeds, run: runAddresses),
  ]

  /// The target of that name.
  package static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// Ends the process, with a sentence, where a parser and its writer disagree.
///
/// Not `precondition`, whose message is gone from an optimised build.
func demand(_ condition: Bool, _ message: @autoclosure () -> String) {
  guard condition else { fatalError(message()) }
}

/// A reader over fuzzed bytes that never runs out: zeros follow the end.
struct ByteSource {
  private(set) var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

  mutating func short() -> Int { Int(byte()) | Int(byte()) << 8 }
}
