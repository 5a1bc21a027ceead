import CommandLineKit
import ServiceSupport
import SystemIO

/// `lethe bench deletions`: what a deletion costs in runs of more and more records.
let deletionsBenchCommand = Command(
  name: "deletions", summary: "measure deletions in runs of many records",
  discussion: """
    For each number of records makes a run of short made-up ones, starts a coordinator on it and \
    deletes records by id over HTTP: first one request at a time, then from many clients at once. \
    Says how long acknowledgements took, the coordinator's processor time for a deletion with its \
    purge, its private memory, and how long a start takes. Ten million records take some \
    minutes, 4 GB of memory while the run is made, and 3 GB of disk.
    """,
  options: [
    CommandOption(
      "records", .list(of: .integer(1_000...20_000_000)), default: "10000,100000,1000000",
      help: "Sizes of the runs."),
    CommandOption(
      "deletions", .integer(1...400), default: "200",
      help: "Records to delete one by one, and as many again from many clients."),
    CommandOption("clients", .integer(1...64), default: "16", help: "Clients at once."),
    CommandOption(
      "directory", .path, placeholder: "DIR",
      help: "Keeps the runs there, and measures again what it finds; default: a temporary one."),
  ]
) { arguments, console in
  let given = arguments.string(ifGiven: "directory")
  let folder = try BenchmarkFolder(given)
  defer { folder.removeIfTemporary() }
  var rows: [DeletionBenchmarkResult.Row] = []
  for records in arguments.integers("records") {
    let place = "\(folder.path)/\(records)"
    try FileSystem.createDirectory(place)
    let benchmark = DeletionBenchmark(
      folder: place, recordCount: records, deletionCount: arguments.integer("deletions"),
      clientCount: arguments.integer("clients"))
    rows.append(try benchmark.run())
    if given == nil { try FileSystem.removeTree(place) }
  }
  let result = DeletionBenchmarkResult(
    deletions: arguments.integer("deletions"), clients: arguments.integer("clients"), rows: rows)
  try show(result, arguments, console) { result in
    var table = TextTable([
      .right("records"), .right("p50 ms"), .right("p99 ms"), .right("CPU ms"),
      .right("\(result.clients) clients p99 ms"), .right("deletions/s"), .right("syncs"),
      .right("private MB"), .right("start s"), .right("made in s"),
    ])
    for row in result.rows {
      table.append(
        ["\(row.records)"]
          + [
            (row.alone.median, 2), (row.alone.percentile99, 2),
            (row.processorMillisecondsPerDeletion, 2), (row.together.percentile99, 1),
            (row.deletionsPerSecond, 0),
          ].map { Humanized.fixed($0.0, digits: $0.1) }
          + ["\(row.groupSyncs)"]
          + [row.privateResidentMegabytes, row.startSeconds, row.creationSeconds]
          .map { $0.map { Humanized.fixed($0, digits: 1) } ?? "" })
    }
    guard let bytes = result.privateBytesPerRecord, let slower = result.percentile99Growth,
      let dearer = result.processorGrowth
    else { return table.text }
    return """
      \(table.text)
      from the smallest run to the largest: \(Humanized.fixed(bytes, digits: 1)) bytes of private \
      memory a record; p99 × \(Humanized.fixed(slower, digits: 2)), processor time × \
      \(Humanized.fixed(dearer, digits: 2))
      """
  }
  return .ok
}
