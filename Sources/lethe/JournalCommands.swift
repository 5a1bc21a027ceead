import CommandLineKit
import CoordinatorService
import JournalFormat
import ServiceSupport
import Storage
import SystemIO

private let runOption = CommandOption(
  "run", .path, placeholder: "FILE", default: "lethe.json5", environment: "LETHE_RUN",
  help: "The run file.")

let journalCommand = Command(
  name: "journal", summary: "look at a run's journal, or save what is left of a damaged one",
  verbs: [
    Command(
      name: "verify", summary: "check both copies of the journal, frame by frame",
      discussion: "Changes nothing and needs no coordinator. Exit 0 only without problems.",
      options: [runOption], exitCodes: [.missingInput, .configuration]
    ) { arguments, console in
      let report = try inspecting { try JournalInspection.verify(try folders(arguments)) }
      let result = JournalCheck(report)
      try show(result, arguments, console) { result in
        (["\(result.entries) entries, the last of sequence \(result.sequence)"]
          + result.problems.map { "PROBLEM: \($0)" }).joined(separator: "\n")
      }
      return report.isSound ? .ok : .failure
    },
    Command(
      name: "salvage", summary: "write a new journal from what both copies still hold",
      discussion: """
        For a journal that a coordinator refuses to start from. Never touches the damaged one; \
        says which entries are lost. Deletions among the lost are undone by going on from the \
        result: compare with ledger checkpoints, and delete those records again.
        """,
      options: [
        runOption,
        CommandOption(
          "output", .path, placeholder: "DIR", required: true,
          help: "A new folder; the two copies are written into it."),
      ], exitCodes: [.missingInput, .configuration, .cannotWrite]
    ) { arguments, console in
      let output = arguments.string("output")
      let report = try inspecting {
        try JournalInspection.salvage(
          try folders(arguments), to: ("\(output)/journal-a", "\(output)/journal-b"))
      }
      let result = JournalSalvage(report)
      try show(result, arguments, console) { result in
        (["saved in \(output): \(result.saved)"] + result.lost.map { "LOST: \($0)" })
          .joined(separator: "\n")
      }
      return result.lost.isEmpty ? .ok : .failure
    },
  ])

private func folders(_ arguments: ParsedArguments) throws -> (String, String) {
  let path = arguments.string("run")
  let file = try readRunFile(path)
  return try file.journalFolders(
    directory: resolve(file.coordinator.directory, base: folder(of: path)))
}

private func inspecting<Value>(_ body: () throws -> Value) throws -> Value {
  do {
    return try body()
  } catch let failure as JournalFailure {
    throw ServiceError(journal: failure)
  }
}

/// What `lethe journal verify` prints.
private struct JournalCheck: Encodable {
  var entries: Int
  var sequence: UInt64
  var problems: [String]

  init(_ report: JournalInspection.Report) {
    entries = report.frameCount
    sequence = report.end?.sequence ?? 0
    problems =
      report.problems.map { "copy \($0.copy), \($0.path) at byte \($0.byteOffset): \($0.what)" }
      + (report.refusal.map { ["\($0)"] } ?? [])
    if problems.isEmpty, !report.isSound {
      problems = ["one copy lags behind the other; the next start repairs it"]
    }
  }
}

private struct JournalSalvage: Encodable {
  var saved: String
  var lost: [String]

  init(_ report: JournalInspection.Salvage) {
    let parts =
      [report.snapshotSequence.map { "a snapshot through \($0)" }]
      + [report.saved.map { "entries \($0.lowerBound) to \($0.upperBound)" }]
    saved = parts.compactMap { $0 }.joined(separator: " and ")
    lost =
      report.lost.map { "entries \($0.lowerBound) to \($0.upperBound)" }
      + (report.defect.map { ["whatever stood behind \($0)"] } ?? [])
  }
}
