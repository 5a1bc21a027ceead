import Hashing
import ModelFormats
import ServiceSupport
import SystemIO
import Training
import WorkerService

/// A PEFT folder as Lethe writes it: the adapter, and beside it where it comes from and a program
/// that loads it elsewhere and compares answers.
struct AdapterFolder {
  let adapter: PEFTAdapter
  let manifest: AdapterManifest

  /// - Parameter model: answers the probes.
  init(
    _ adapter: PEFTAdapter, model: LoadedModel, labels: [String], maximumTokens: Int,
    origin: AdapterManifest.Origin?
  ) throws {
    let architecture = model.files.configuration.architecture
    self.adapter = PEFTAdapter(
      rank: adapter.rank, alpha: adapter.alpha, rankStabilized: adapter.rankStabilized,
      adapters: adapter.adapters, head: adapter.head, architecture: architecture,
      dense: model.encoder.dense)
    let longest = model.longestInput(maximumTokens: maximumTokens)
    let sequences = Self.probes.map {
      model.tokens($0.text, pair: $0.pair, maximumTokens: longest)
    }
    let hidden = model.files.configuration.hiddenSize
    let logits = try model.encoder.logits(
      of: sequences, adapters: adapter.adapters,
      head: adapter.head ?? .zero(labelCount: labels.count, hiddenSize: hidden))
    guard logits.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
      throw ServiceError(
        .badData, "the adapter answers with logits that are no numbers",
        try: "train with lower learning rates")
    }
    manifest = AdapterManifest(
      engine: "lethe \(ProductVersion.text)", architecture: architecture.rawValue, labels: labels,
      maximumTokens: longest, backbone: model.files.digest.hex, origin: origin,
      probes: zip(Self.probes, logits).map {
        AdapterManifest.Probe(text: $0.text, pair: $0.pair, logits: $1)
      })
  }

  /// Texts of no data set: short, long, paired, with marks and scripts that tokenizers differ in.
  private static let probes: [(text: String, pair: String?)] = [
    ("a small bird that sings", nil), ("Yes", nil),
    ("any of various animals living in water", "They have fins, scales and a cold body."),
    ("Was it 1984 or 2026? Nobody knew; the café's owner didn't say!", nil),
    ("naïve Ärger,\n  中文 and 🙂 emoji\u{a0}— in one line", nil),
    (
      "the act of removing something from a list, a file or a memory; what is gone cannot be "
        + "shown, and what was learned from it must be unlearned before anybody asks again", nil
    ),
  ]

  /// Every file, with the adapter's own last: a folder that has them has all.
  var files: [(name: String, bytes: [UInt8])] {
    let own = adapter.encode(metadata: manifest.metadata)
    return [
      (AdapterManifest.name, manifest.bytes),
      (PEFTAdapter.loaderName, Array(adapterLoaderScript.utf8)),
      (PEFTAdapter.tensorsName, own.tensors), (PEFTAdapter.configurationName, own.configuration),
    ]
  }

  func write(to folder: String) throws {
    try FileSystem.createDirectory(folder)
    for file in files { try FileSystem.replace("\(folder)/\(file.name)", with: file.bytes) }
  }
}
