import CommandLineKit
import CoordinatorService
import ServiceSupport
import SystemIO

/// `lethe bench ingest`: from a data set to a durable run.
let ingestBenchCommand = Command(
  name: "ingest", summary: "measure how fast a data set becomes a run",
  discussion: """
    Writes short made-up records as JSON lines and makes a run of them, again and again: records \
    read and judged, put into their slices, slices, table and journal written and synced, and \
    everything held against the disk again. One thread does it all.
    """,
  options: [
    CommandOption(
      "records", .integer(1_000...20_000_000), default: "1000000", help: "Records in the file."),
    CommandOption("repetitions", .integer(1...100), default: "3", help: "Runs to make."),
    CommandOption(
      "directory", .path, placeholder: "DIR", help: "Where to write; default: a temporary one."),
  ]
) { arguments, console in
  let folder = try BenchmarkFolder(arguments.string(ifGiven: "directory"))
  defer { folder.removeIfTemporary() }
  let madeUp = MadeUpRun(folder: folder.path, recordCount: arguments.integer("records"))
  try madeUp.write()
  let file = try readRunFile(madeUp.runFile)
  var (seconds, processorSeconds): ([Double], [Double]) = ([], [])
  for _ in 0..<arguments.integer("repetitions") {
    let begin = (SystemClock.seconds, ProcessUsage.own.processorSeconds)
    _ = try OpenedRun(file, base: folder.path, log: Log(component: "bench"))
    seconds.append(SystemClock.seconds - begin.0)
    processorSeconds.append(ProcessUsage.own.processorSeconds - begin.1)
    try FileSystem.removeTree(madeUp.directory)
  }
  let count = Double(madeUp.recordCount)
  let result = IngestResult(
    records: madeUp.recordCount, fileByteCount: try FileSystem.byteCount(madeUp.dataFile),
    recordsPerSecond: Spread(seconds.map { count / $0 }),
    recordsPerProcessorSecond: Spread(processorSeconds.map { count / $0 }),
    peakResidentMegabytes: Double(ProcessUsage.own.peakResidentByteCount) / 1e6)
  try show(result, arguments, console) { result in
    """
    \(result.records) records, \(Humanized.bytes(result.fileByteCount)): \
    \(Humanized.fixed(result.recordsPerSecond.median, digits: 0)) a second \
    (\(result.recordsPerSecond.range(digits: 0))), \
    \(Humanized.fixed(result.recordsPerProcessorSecond.median, digits: 0)) a second of processor \
    time; memory at most \(Humanized.fixed(result.peakResidentMegabytes, digits: 0)) MB
    """
  }
  return .ok
}

/// What `lethe bench ingest` prints.
private struct IngestResult: Encodable {
  var records: Int
  var fileByteCount: Int
  /// With everything, waiting for the disk too.
  var recordsPerSecond: Spread
  var recordsPerProcessorSecond: Spread
  var peakResidentMegabytes: Double
}
