/// One key of the run file: what reads it, refuses it and describes it share this table.
package struct RunFileKey: Sendable {
  /// The object it stands in; empty for the file's own.
  package let section: String
  package let name: String
  /// What holds without it; `nil`: it must be there.
  package let defaultValue: String?
  /// Which values are taken, in words.
  package let values: String
  package let meaning: String

  fileprivate init(
    _ section: String, _ name: String, default defaultValue: String? = nil, _ values: String,
    _ meaning: String
  ) {
    self.section = section
    self.name = name
    self.defaultValue = defaultValue
    self.values = values
    self.meaning = meaning
  }
}

extension RunFile {
  /// Every key, in the order in which `lethe init` writes them.
  package static let reference: [RunFileKey] = [
    RunFileKey("", "name", "text", "What the run is called; receipts and the ledger name it."),
    RunFileKey(
      "", "backbone", "folder",
      "Where config.json, model.safetensors, vocab.txt and tokenizer_config.json are."),
    RunFileKey("", "data", "list of files", "Records, read once, at the first start."),
    RunFileKey(
      "", "labels", "list of texts, each once",
      "The classes in order. One alone names a number, and the run is a regression on it."),
    RunFileKey("", "shards", "1 to 4096", "Ensemble members, each with records of its own."),
    RunFileKey(
      "", "slices", "1 to 128, at most the backbone's layers",
      "Parts of a shard; each has a group of layers."),
    RunFileKey(
      "", "sequences", "1 to 256, at most the orders there are",
      "Orders of a shard's slices that are trained."),
    RunFileKey(
      "", "stageData", "cumulative, disjoint",
      "What a stage reads: its sequence's first slices, or only its own."),
    RunFileKey(
      "", "layersPerBlock", default: "all layers, evenly", "list of numbers, one a slice",
      "Layers of each block, the topmost block first; what is left at the bottom is never trained."
    ),
    RunFileKey(
      "", "sequenceSelection", default: "cyclic", "object, below",
      "How sequences are chosen where slices are not equally likely to lose a record."),
    RunFileKey(
      "sequenceSelection", "method", "cyclic, matching, sampling",
      "By rotation; by matching, so that likely leavers come late; by drawing in that sense."),
    RunFileKey(
      "sequenceSelection", "sliceProbabilities", default: "none",
      "list of numbers from 0 to 1, one a slice",
      "How likely each slice is to lose a record; needed by matching and sampling."),
    RunFileKey(
      "", "sliceThresholds", default: "none", "ascending numbers, one less than slices",
      "Bounds of deletionProbability that gather the likely leavers in slices of their own."),
    RunFileKey("", "seed", "whole number from 0", "Of adapters and of the order of records."),
    RunFileKey(
      "", "partitionKey", "at least 16 bytes in hexadecimal",
      "Places records, by HMAC-SHA256 of their ids."),
    RunFileKey("", "training", "object, below", "The recipe."),
    RunFileKey(
      "training", "targets",
      "query, key, value, attention.output.dense, intermediate.dense, output.dense",
      "Projections that carry adapters."),
    RunFileKey("training", "rank", "1 to 1024", "Inner dimension of an adapter."),
    RunFileKey("training", "alpha", "above 0", "Numerator of an adapter's scale."),
    RunFileKey(
      "training", "rankStabilized", "true, false",
      "The scale is alpha / sqrt(rank), instead of alpha / rank."),
    RunFileKey("training", "epochs", "1 to 10000", "Passes of a stage over its records."),
    RunFileKey("training", "batchSize", "1 to 4096", "Records a step."),
    RunFileKey("training", "learningRate", "from 0", "Of adapters."),
    RunFileKey("training", "headLearningRate", "from 0", "Of the head."),
    RunFileKey("training", "schedule", "linear, constant", "Of both rates, after the warm-up."),
    RunFileKey(
      "training", "warmup", "from 0", "Share of a stage's steps if below 1, else so many steps."),
    RunFileKey("training", "weightDecay", "from 0", "Decoupled, as in AdamW."),
    RunFileKey("training", "maximumGradientNorm", "from 0", "Longer gradients are cut; 0: never."),
    RunFileKey("training", "maximumTokens", "3 to 8192", "Longer texts are cut."),
    RunFileKey(
      "training", "headStart", default: "zero", "zero, closed-form",
      "The first stage's head: zeros, or solved from the frozen features."),
    RunFileKey(
      "training", "stageRateFactor", default: "1", "above 0, to 100",
      "A stage's rates, times those of the stage before."),
    RunFileKey(
      "training", "startingAdapter", default: "none", "folder",
      "Blocks start from the LoRA matrices of this PEFT folder, which is part of every key."),
    RunFileKey("", "repair", "object, below", "When masked blocks are trained again."),
    RunFileKey(
      "repair", "policy", "eager, batched, depth, manual",
      "At once; after a pause; when a shard serves too few blocks; at lethe train alone."),
    RunFileKey(
      "repair", "quietSeconds", default: "5", "0 to 86400000",
      "batched: so long without a deletion."),
    RunFileKey(
      "repair", "maximumAgeSeconds", default: "60", "0 to 86400000",
      "batched: or when the oldest deletion has waited so long."),
    RunFileKey(
      "repair", "depth", default: "none", "from 1",
      "depth: repair below so many blocks; needed then."),
    RunFileKey(
      "repair", "slicesPerHour", default: "no limit", "1 to 1000000000",
      "How many slices repairs may read in an hour."),
    RunFileKey("", "coordinator", "object, below", "What may change between starts."),
    RunFileKey(
      "coordinator", "directory", "folder", "Where the run keeps everything; beside the run file."),
    RunFileKey("coordinator", "workers", "HOST:PORT", "Where workers connect; port 0: any."),
    RunFileKey(
      "coordinator", "http", "HOST:PORT on loopback", "Where people connect; port 0: any."),
    RunFileKey(
      "coordinator", "httpNames", default: "localhost alone", "list of host names",
      "Names under which a proxy lets others ask; requests for any other name are refused."),
    RunFileKey(
      "coordinator", "journal", default: "journal-a, journal-b in the directory", "two folders",
      "Where the journal's two copies lie, best on two disks."),
    RunFileKey(
      "coordinator", "deadline", default: "gdpr", "gdpr, ccpa, days:1 to days:3650",
      "By when deletions are due: a calendar month, 45 days, or so many."),
    RunFileKey(
      "coordinator", "aggregation", default: "mean-logits",
      "mean-logits, mean-probability, vote, depth-weighted",
      "How the shards' answers become one."),
    RunFileKey(
      "coordinator", "serving", default: "deepest", "deepest, every-sequence",
      "Which prefixes of a shard answer."),
    RunFileKey(
      "coordinator", "auditShare", default: "0", "0 to 1",
      "Share of blocks that idle workers train again to compare bits."),
    RunFileKey(
      "coordinator", "maximumWorkers", default: "1024", "1 to 16384", "Workers at a time."),
    RunFileKey(
      "coordinator", "exportFolders", default: "outside the run", "list of folders",
      "Folders below which exports may lie."),
    RunFileKey(
      "coordinator", "backupFolders", default: "outside the run", "list of folders",
      "Folders below which backups may lie."),
    RunFileKey(
      "coordinator", "developmentMode", default: "false", "true, false",
      "Processes on this machine may connect without a key of their own."),
    RunFileKey(
      "", "webhooks", default: "none", "list of objects, below",
      "Other systems that are told what has changed: Protocols/webhooks.md."),
    RunFileKey("webhooks", "url", "http://HOST:PORT/PATH", "Where each event is posted."),
    RunFileKey(
      "webhooks", "secretFile", "file of mode 0600", "whsec_ and base64: signs what is sent."),
    RunFileKey("webhooks", "events", default: "all", "list of types", "What it is told of."),
    RunFileKey(
      "webhooks", "allowPlainHttp", default: "false", "true, false",
      "Events may cross a network in clear."),
  ]

  /// The keys of an object of the file.
  static func keys(of section: String) -> [String] {
    reference.filter { $0.section == section }.map(\.name)
  }

  /// Objects in the file, itself first.
  static let sections = [""] + reference.map(\.section).filter { !$0.isEmpty }.uniqued

  /// The table as a page in Markdown.
  package static var referencePage: String {
    var lines = [
      "# Run file", "",
      "JSON5: comments, trailing commas and bare names are welcome. `lethe init` writes one with",
      "comments. After the first start only `coordinator` and `webhooks` may change: all else",
      "shapes blocks, and a changed run is a new run. An unknown key is refused.", "",
      "Made by `lethe manual`.",
    ]
    for section in sections {
      lines += ["", section.isEmpty ? "## The file" : "## `\(section)`", ""]
      lines += ["| key | without it | values | meaning |", "| - | - | - | - |"]
      lines += reference.filter { $0.section == section }.map { key in
        "| `\(key.name)` | \(key.defaultValue ?? "refused") | \(key.values) | \(key.meaning) |"
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension [String] {
  /// Each element once, where it stands first.
  fileprivate var uniqued: [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}
