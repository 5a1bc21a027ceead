/// What stands beside an adapter's own files: where it comes from, and answers to hold readers to.
///
/// It names blocks, slices and artifacts, and no record. Drawn in `Protocols/adapter.md`.
package struct AdapterManifest: Equatable, Sendable {
  /// One block of the served prefix.
  package struct Block: Equatable, Sendable {
    package var stage: Int
    package var layers: [Int]
    package var slices: [Int]
    package var key: String
    package var artifact: String

    package init(stage: Int, layers: [Int], slices: [Int], key: String, artifact: String) {
      self.stage = stage
      self.layers = layers
      self.slices = slices
      self.key = key
      self.artifact = artifact
    }
  }

  /// The place in a run that an adapter was exported from.
  package struct Origin: Equatable, Sendable {
    package var run: String
    package var shard: Int
    package var sequence: Int
    /// From stage 1 to the depth served.
    package var blocks: [Block]
    package var numericClass: String
    /// The recipe's digest.
    package var recipe: String
    /// Entries in the run's ledger when it was exported.
    package var ledgerSize: UInt64

    package init(
      run: String, shard: Int, sequence: Int, blocks: [Block], numericClass: String,
      recipe: String, ledgerSize: UInt64
    ) {
      self.run = run
      self.shard = shard
      self.sequence = sequence
      self.blocks = blocks
      self.numericClass = numericClass
      self.recipe = recipe
      self.ledgerSize = ledgerSize
    }
  }

  /// A text and the logits that the engine gives it.
  package struct Probe: Equatable, Sendable {
    package var text: String
    package var pair: String?
    package var logits: [Float]

    package init(text: String, pair: String?, logits: [Float]) {
      self.text = text
      self.pair = pair
      self.logits = logits
    }
  }

  package var engine: String
  package var architecture: String
  package var labels: [String]
  /// Longest input; longer ones are cut.
  package var maximumTokens: Int
  /// The backbone's digest, as in block keys.
  package var backbone: String
  /// `nil` for an adapter of no run.
  package var origin: Origin?
  package var probes: [Probe]

  package static let name = "lethe_manifest.json"
  package static let format = "lethe-adapter-1"
  /// By how much another program's logits may differ: both sum in single precision.
  package static let logitTolerance = 1e-4

  package init(
    engine: String, architecture: String, labels: [String], maximumTokens: Int, backbone: String,
    origin: Origin?, probes: [Probe]
  ) {
    self.engine = engine
    self.architecture = architecture
    self.labels = labels
    self.maximumTokens = maximumTokens
    self.backbone = backbone
    self.origin = origin
    self.probes = probes
  }
}

extension AdapterManifest {
  /// The file's bytes; equal manifests give equal bytes.
  package var bytes: [UInt8] {
    var members: [(name: String, value: JSON)] = [
      ("format", .string(Self.format)), ("engine", .string(engine)),
      ("architecture", .string(architecture)), ("labels", .array(labels.map { .string($0) })),
      ("maximumTokens", .number("\(maximumTokens)")), ("backbone", .string(backbone)),
    ]
    if let origin { members.append(("origin", origin.json)) }
    members.append(
      ("logits", .object([("tolerance", .number("\(Self.logitTolerance)")), ("texts", texts)])))
    return JSON.object(members).prettyBytes
  }

  private var texts: JSON {
    .array(
      probes.map { probe in
        var members: [(name: String, value: JSON)] = [("text", .string(probe.text))]
        if let pair = probe.pair { members.append(("text_pair", .string(pair))) }
        members.append(("logits", .array(probe.logits.map { .number("\(Double($0))") })))
        return .object(members)
      })
  }

  /// What the tensor file's own header says of its origin: PEFT reads strings alone there.
  ///
  /// Nothing that changes while the blocks stay, so that equal adapters are equal bytes.
  package var metadata: [String: String] {
    var metadata = ["lethe": Self.format, "engine": engine, "backbone": backbone]
    guard let origin else { return metadata }
    metadata["run"] = origin.run
    metadata["shard"] = "\(origin.shard)"
    metadata["sequence"] = "\(origin.sequence)"
    metadata["depth"] = "\(origin.blocks.count)"
    metadata["blocks"] = origin.blocks.map(\.key).joined(separator: ",")
    metadata["artifacts"] = origin.blocks.map(\.artifact).joined(separator: ",")
    metadata["numeric_class"] = origin.numericClass
    metadata["recipe"] = origin.recipe
    return metadata
  }
}

extension AdapterManifest.Origin {
  fileprivate var json: JSON {
    func numbers(_ values: [Int]) -> JSON { .array(values.map { .number("\($0)") }) }
    return .object([
      ("run", .string(run)), ("shard", .number("\(shard)")),
      ("sequence", .number("\(sequence)")), ("depth", .number("\(blocks.count)")),
      (
        "blocks",
        .array(
          blocks.map { block in
            .object([
              ("stage", .number("\(block.stage)")), ("layers", numbers(block.layers)),
              ("slices", numbers(block.slices)), ("key", .string(block.key)),
              ("artifact", .string(block.artifact)),
            ])
          })
      ), ("numericClass", .string(numericClass)), ("recipe", .string(recipe)),
      ("ledgerSize", .number("\(ledgerSize)")),
    ])
  }
}
