import ByteCoding
import CoordinatorCore
import Datasets
import Hashing
import JournalFormat
import ModelFormats
import ServiceSupport
import Storage
import SystemIO
import Unlearning

/// A run that is ready to go on: its files, its journal and the state replayed from it.
package struct OpenedRun {
  package let directory: RunDirectory
  package let journal: Journal
  package let salts: SaltStore
  package let state: RunState
  package let records: RecordIndex
  /// Judges what workers hand in; `nil` where the backbone's shape cannot be read.
  let gate: UploadGate?
  /// What was found that an operator must look at.
  let alarms: [String]

  /// Creates the run that a file describes, or continues it where it stands.
  ///
  /// - Parameter base: The folder that relative paths in the run file start from.
  package init(_ file: RunFile, base: String, log: Log) throws {
    let folder = resolve(file.coordinator.directory, base: base)
    directory = try RunDirectory(folder, journal: try file.journalFolders(directory: folder))
    try directory.requirePrivacy()
    var salts = try SaltStore(directory.saltPath)
    // Records without a journal are a run whose disks are missing, not a new one: beginning anew
    // would bring back whatever was deleted.
    let isNew = try FileSystem.list("\(folder)/slices").isEmpty
    let opened: Journal.Opened
    do {
      opened = try Journal.open(directory.journalFolders, mayCreate: isNew)
    } catch {
      throw ServiceError(journal: error)
    }
    journal = opened.journal
    for repair in opened.repairs { log.write(.journalRepaired, repair) }
    if opened.droppedByteCount > 0 {
      log.write(.journalTailDropped, "\(opened.droppedByteCount) unacknowledged bytes")
    }
    guard opened.snapshot != nil || !opened.payloads.isEmpty else {
      (state, records, gate) = try Self.create(file, base: base, directory, journal, log)
      alarms = []
      self.salts = salts
      return
    }
    var state = try RunState(replaying: opened.snapshot?.bytes, opened.payloads)
    try Self.refuse(file, base: base, otherThan: state.run, in: folder)
    var alarms: [String] = []
    gate = Self.gate(state, backbone: resolve(file.backbone, base: base), &alarms, log)
    records = try Self.check(&state, directory, journal, gate, &alarms, log)
    try Self.settleSalts(&salts, &state, directory, journal, log)
    try directory.finishImport(state)
    self.salts = salts
    self.state = state
    self.alarms = alarms
  }

  /// Looks whether a start would take a run file for the run that is there; changes nothing.
  ///
  /// - Throws: `ServiceError`, as the start would; `JournalFailure` where it cannot be told.
  package static func check(_ file: RunFile, base: String) throws {
    let folder = resolve(file.coordinator.directory, base: base)
    let view = try Journal.read(try file.journalFolders(directory: folder))
    let state = try RunState(replaying: view.snapshot?.bytes, view.payloads)
    try refuse(file, base: base, otherThan: state.run, in: folder)
  }

  /// The backbone is looked at only when a run is created; after that its digest stands in the
  /// journal and every worker proves to have the same one.
  private static func refuse(
    _ file: RunFile, base: String, otherThan run: RunDescription, in folder: String
  ) throws {
    let described = try file.description(
      backbone: run.backbone, layerCount: run.layerCount,
      startingAdapter: try file.startingAdapter(base: base)?.digest)
    let changed = described.differences(from: run)
    guard changed.isEmpty else {
      throw ServiceError(
        .configuration,
        "the run file differs from the run in \(folder) in: \(changed.joined(separator: ", "))",
        try:
          "undo the change, or give the changed run a new coordinator.directory. A new run knows "
          + "nothing of this one's deletions: before its first start take them along, with lethe "
          + "tombstones export and import, or with lethe init --from-run")
    }
  }

  /// Ingests the data: slices first, then one durable journal write that makes the run exist.
  private static func create(
    _ file: RunFile, base: String, _ directory: RunDirectory, _ journal: Journal, _ log: Log
  ) throws -> (RunState, RecordIndex, UploadGate) {
    let backbone = try BackboneFiles(resolve(file.backbone, base: base))
    let startingAdapter = try file.startingAdapter(base: base)
    let run = try file.description(
      backbone: backbone.digest, layerCount: backbone.configuration.layerCount,
      startingAdapter: startingAdapter?.digest)
    var state = try RunState(run)
    try startingAdapter?.check(backbone.configuration, backbone: backbone.folder)
    try startingAdapter?.check(run.recipe, layers: state.plan.layerGroups.flatMap { $0 })
    let tombstones = try directory.importedTombstones()
    var members = try members(file, base: base, run, state.plan)
    let leftOut = directory.leaveOut(tombstones, of: &members)
    try directory.slices.removeAll()
    try directory.checkpoints.removeAll(directory.checkpoints.all.keys)
    var writer = try directory.recordWriter(state.plan)
    let slices = try state.locations.map { location in
      try writer.write(members.removeValue(forKey: location) ?? [], describe: directory.ingested)
    }
    try writer.finish()
    let entries = [JournalEntry.ingested(slices)] + Self.entries(of: tombstones)
    try journal.append(([.created(run)] + entries).map(\.encoded), epoch: 0)
    for entry in entries { state.apply(entry) }
    try directory.finishImport(state)
    if leftOut > 0 {
      log.write(.tombstonesHeld, "\(leftOut) records were deleted in an earlier run")
    }
    log.write(
      .runCreated,
      "\(state.recordCount) records in \(run.shardCount) shards of \(run.sliceCount) slices")
    return (
      state, try directory.records(state),
      UploadGate(run, state.plan, backbone.configuration)
    )
  }

  /// The data's records by the slice they belong to.
  private static func members(
    _ file: RunFile, base: String, _ run: RunDescription, _ plan: RunPlan
  ) throws -> [SliceLocation: [Record]] {
    let records = try file.data.flatMap {
      try readDataset(resolve($0, base: base), labels: file.labels)
    }
    // Inside a file the reader has seen to it.
    if file.data.count > 1 { try refuseRepeatedIDs(records) }
    let partition = Partition(key: run.partitionKey, plan: plan)
    return Dictionary(grouping: records) {
      partition.location(
        ofRecordID: $0.id.bytes, deletionProbability: $0.deletionProbability)
    }
  }

  /// The form of the run's blocks, from the shape of its backbone.
  ///
  /// A run goes on without it and takes deletions; but a block that nobody can check is not taken.
  private static func gate(
    _ state: RunState, backbone: String, _ alarms: inout [String], _ log: Log
  ) -> UploadGate? {
    let path = "\(backbone)/\(BackboneFiles.configurationName)"
    let reason: String
    do {
      let configuration = try BackboneFiles.configuration(in: backbone)
      if configuration.layerCount == state.run.layerCount {
        return UploadGate(state.run, state.plan, configuration)
      }
      reason =
        "\(path) has \(configuration.layerCount) layers, the run \(state.run.layerCount)"
    } catch {
      reason = "\(path) cannot be read: \(error)"
    }
    let alarm =
      "\(reason); trained blocks cannot be checked, so none is taken: correct backbone in the run "
      + "file and start again"
    log.write(.backboneUnknown, alarm)
    alarms.append(alarm)
    return nil
  }

  /// Holds the files against the state before anything is served from them.
  private static func check(
    _ state: inout RunState, _ directory: RunDirectory, _ journal: Journal, _ gate: UploadGate?,
    _ alarms: inout [String], _ log: Log
  ) throws -> RecordIndex {
    try directory.slices.removeDebris()
    let records = try directory.records(state)
    func withdraw(_ key: BlockKey) throws {
      let entry = JournalEntry.artifactLost(key, at: SystemClock.wallMilliseconds)
      try journal.append([entry.encoded], epoch: UInt64(state.term))
      state.apply(entry)
    }
    for block in state.blocks.values.sorted(by: { $0.key < $1.key }) {
      do {
        _ = try directory.artifacts.get(block.artifact)
      } catch {
        // Nothing is lost: the block is retrained, and its key proves that it is the same one.
        log.write(.artifactLost, nil, [.block: Log.Value(block.key), .error: Log.Value(error)])
        try withdraw(block.key)
      }
    }
    let unfit = gate.map { Self.unfit(state, directory, $0) } ?? []
    for (block, reason) in unfit {
      log.write(.artifactUnfit, reason, [.block: Log.Value(block.key)])
      alarms.append("quarantined: \(reason); it serves nothing and is trained again")
      try withdraw(block.key)
    }
    try directory.artifacts.removeAll(except: Set(state.artifactUses.keys))
    return records
  }
}

private func refuseRepeatedIDs(_ records: [Record]) throws {
  var seen: Set<RecordID> = []
  for record in records where !seen.insert(record.id).inserted {
    throw ServiceError(
      .badData, "two data files hold a record with the same id",
      try: "an id names one record; make ids unique across files")
  }
}

extension RunState {
  /// The state that a journal's contents give: its snapshot, if it has one, and what followed.
  init(replaying snapshot: [UInt8]?, _ payloads: [[UInt8]]) throws {
    do {
      try self.init(reading: snapshot, payloads)
    } catch let failure as DecodingFailure {
      throw ServiceError(
        .failure, "the journal is whole, but this version cannot read what it says: \(failure)",
        try: "continue the run with the version that made it, or make it anew")
    }
  }

  private init(reading snapshot: [UInt8]?, _ payloads: [[UInt8]]) throws {
    var rest = payloads[...]
    if let snapshot {
      try self.init(encoded: snapshot)
    } else {
      guard let first = rest.popFirst(), case .created(let run) = try JournalEntry(encoded: first)
      else {
        throw ServiceError(.failure, "the journal does not begin with a run")
      }
      try self.init(run)
    }
    for payload in rest { apply(try JournalEntry(encoded: payload)) }
    refreshKeys()
  }
}

extension ServiceError {
  package init(journal failure: JournalFailure) {
    switch failure {
    case .system(let error): self.init(error, while: "opening the journal")
    case .damaged, .uncovered, .snapshotsDiverged:
      self.init(
        .failure, "the journal is damaged: \(failure)",
        try: "lethe journal verify shows where; restore from a backup, or lethe journal salvage. "
          + "Starting without it could undo a deletion")
    case .missing:
      self.init(
        .missingInput, "\(failure), but there are records: starting anew would undo deletions",
        try: "mount the journal's disks, correct coordinator.journal, or lethe restore")
    }
  }
}

extension RunFile {
  /// The adapter that blocks start from, if the file names one.
  package func startingAdapter(base: String) throws -> AdapterFiles? {
    try training.startingAdapter.map { try AdapterFiles(resolve($0, base: base)) }
  }
}
