import Foundation
import ServiceSupport
import SystemIO

/// A run over many short records that mean nothing, for benchmarks.
struct MadeUpRun {
  let folder: String
  let recordCount: Int

  private static let name = "bench"
  /// Records that one person has.
  private static let recordsPerSubject = 4

  var directory: String { "\(folder)/\(Self.name).lethe" }
  var runFile: String { "\(folder)/run.json5" }
  var dataFile: String { "\(folder)/records.jsonl" }

  static func id(_ number: Int) -> String { "record-\(number)" }

  /// Writes backbone, data and run file.
  func write() throws {
    let backbone = "\(folder)/backbone"
    try CoordinatorBenchmark.writeBackbone(to: backbone, layerCount: 4)
    try FileSystem.replace(dataFile, with: [])
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: dataFile))
    for first in stride(from: 0, to: recordCount, by: 100_000) {
      let lines = (first..<min(first + 100_000, recordCount)).map { number in
        #"{"id":"\#(Self.id(number))","subject":"s\#(number / Self.recordsPerSubject)","#
          + #""text":"text \#(number)","label":"a"}"# + "\n"
      }
      try file.write(contentsOf: Data(lines.joined().utf8))
    }
    try file.close()
    var text = RunFileText(
      name: Self.name, backbone: backbone, data: [dataFile], labels: ["a", "b"], shards: 8,
      slices: 4, sequences: 4, seed: 1, partitionKey: String(repeating: "5a", count: 32))
    text.repair = #"{ policy: "manual" }"#
    try FileSystem.replace(runFile, with: Array(text.text.utf8))
  }
}
