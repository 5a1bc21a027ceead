import Foundation
import Testing

@Suite("Measuring the coordinator") struct CoordinatorBenchmarkTests {
  private struct Report: Decodable {
    struct Row: Decodable {
      var records: Int
      var creationSeconds: Double?
      var processorMillisecondsPerDeletion: Double
      var groupSyncs: Int
    }

    var rows: [Row]
    var privateBytesPerRecord: Double
  }

  @Test("a run is made, deleted from alone and together, and measured again where it was kept")
  func measures() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("lethe-test-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    for turn in 0..<2 {
      let report: Report = try Lethe.json([
        "bench", "deletions", "--records", "1000,2000", "--deletions", "6", "--clients", "3",
        "--directory", folder.path,
      ])
      #expect(report.rows.map(\.records) == [1000, 2000])
      #expect(report.rows.allSatisfy { ($0.creationSeconds == nil) == (turn > 0) })
      #expect(report.rows.allSatisfy { $0.groupSyncs > 0 })
    }
  }

  private struct Ingestion: Decodable {
    struct Spread: Decodable { var median: Double }

    var records: Int
    var fileByteCount: Int
    var recordsPerSecond: Spread
  }

  @Test("a data set is made a run of, again and again")
  func ingests() throws {
    let report: Ingestion = try Lethe.json([
      "bench", "ingest", "--records", "1000", "--repetitions", "2",
    ])
    #expect(report.records == 1000 && report.fileByteCount > 50_000)
    #expect(report.recordsPerSecond.median > 0)
  }
}
