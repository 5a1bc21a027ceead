import CommandLineKit
import CoordinatorService
import ServiceSupport
import SystemIO

/// What a new run over the same data must know of an earlier one's deletions.
let tombstonesCommand = Command(
  name: "tombstones", summary: "carry a run's deletions into a new run over the same data",
  verbs: [
    Command(
      name: "export", summary: "write what a run has deleted, as tags that only its key makes",
      discussion: """
        Reads the run's directory, whether a coordinator runs or not. Whoever has the file can \
        test guesses at the deleted ids: keep it like the run itself, and destroy it after the \
        import.
        """,
      arguments: [Argument("file", .path, help: "Where to write them, with mode 0600.")],
      options: [serviceRunOption],
      examples: [
        Example(
          "lethe tombstones export gone --run old.json5", "Before a run is made anew.")
      ], exitCodes: [.configuration, .missingInput, .cannotWrite]
    ) { arguments, console in
      let path = arguments.string("run")
      let tombstones = try TombstoneFile.export(try readRunFile(path), base: folder(of: path))
      let output = arguments.string("file")
      try writing(output) { try FileSystem.replace(output, with: tombstones.bytes) }
      try show(TombstoneReport(file: output, records: tombstones.tags.count), arguments, console) {
        "wrote \($0.file): \(Humanized.count($0.records, "deleted record"))"
      }
      return .ok
    },
    Command(
      name: "import", summary: "leave out of a new run what an earlier one had deleted",
      discussion: """
        Works before the new run's first start, which then leaves the records out, whatever the \
        data files say. The new run takes over the earlier one's tombstone.key.
        """,
      arguments: [Argument("file", .path, help: "What lethe tombstones export wrote.")],
      options: [serviceRunOption],
      examples: [
        Example("lethe tombstones import gone --run new.json5", "Then start the new run.")
      ], exitCodes: [.configuration, .badData, .missingInput, .cannotWrite]
    ) { arguments, console in
      let input = arguments.string("file")
      let bytes: [UInt8]
      do throws(SystemCallError) {
        bytes = try FileSystem.read(input)
      } catch {
        throw ServiceError(error, while: "reading the tombstones")
      }
      let tombstones = try TombstoneFile(bytes, path: input)
      let path = arguments.string("run")
      try tombstones.lay(for: try readRunFile(path), base: folder(of: path))
      try show(TombstoneReport(file: input, records: tombstones.tags.count), arguments, console) {
        let count = Humanized.count($0.records, "deleted record")
        return "took over \(count): the first start leaves them out"
      }
      return .ok
    },
  ])

private struct TombstoneReport: Encodable {
  var file: String
  var records: Int
}
