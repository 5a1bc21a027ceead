import CoordinatorAPI
import Foundation
import Testing

@Suite("lethe doctor, on a real run", .serialized) struct DoctorTests {
  /// What the verb prints with `--format json`.
  private struct Report: Decodable {
    struct Finding: Decodable {
      var subject: String
      var verdict: String
      var text: String
      var hint: String?
    }

    var findings: [Finding]
    var failures: Int

    /// Subjects of the findings that would not work.
    var failing: [String] { findings.filter { $0.verdict == "failure" }.map(\.subject) }

    func text(_ subject: String) -> String? { findings.first { $0.subject == subject }?.text }
  }

  private static func report(_ run: TestRun) throws -> Report {
    let output = try Lethe.run(["doctor", "--run", run.runFile, "--format", "json"])
    let report = try JSONDecoder().decode(Report.self, from: Data(output.text.utf8))
    #expect(output.status == (report.failures == 0 ? 0 : 1), "\(output.errors)")
    #expect(report.failures == report.failing.count)
    return report
  }

  @Test("before the first start, beside a running coordinator, and after it")
  func life() throws {
    let run = try TestRun()
    let before = try Self.report(run)
    #expect(before.failing.isEmpty)
    #expect(before.text("data")?.hasPrefix("60 records in 1 file") == true)
    #expect(before.text("port for http") != nil && before.text("journal") == nil)

    try run.startCoordinator()
    try run.startWorker()
    try run.train()
    let during = try Self.report(run)
    #expect(during.failing.isEmpty)
    #expect(during.text("coordinator")?.hasSuffix("and is ready") == true)
    // The class the run's blocks were trained in, by a worker of the same machine.
    #expect(during.text("numerics")?.hasSuffix("as the run's") == true)
    #expect(during.text("data") == nil && during.text("port for http") == nil)

    let process = try #require(run.coordinator?.processIdentifier)
    Foundation.kill(process, SIGSTOP)
    let stopped = try Self.report(run)
    Foundation.kill(process, SIGCONT)
    #expect(stopped.failing == ["coordinator"])
    #expect(stopped.findings.last?.hint?.contains("process \(process)") == true)

    run.stop()
    let after = try Self.report(run)
    #expect(after.failing.isEmpty)
    #expect(after.text("journal")?.hasSuffix("both copies whole and the same") == true)
    let left = try FileManager.default.subpathsOfDirectory(atPath: run.folder.path)
    #expect(!left.contains { $0.contains("probe-") })
  }

  @Test("what would stop a start is found before it")
  func faults() throws {
    let run = try TestRun()
    let data = run.folder.appendingPathComponent("records.jsonl")
    let records = try Data(contentsOf: data)
    try Data("not a record\n".utf8).write(to: data)
    #expect(try Self.report(run).failing == ["data"])
    try records.write(to: data)

    let backbone = "\"\(Lethe.backbone)\""
    try run.edit(backbone, to: "\"nowhere\"")
    #expect(try Self.report(run).failing == ["run file"])
    try run.edit("\"nowhere\"", to: backbone)

    try run.startCoordinator()
    let endpoint = try String(
      contentsOf: run.folder.appendingPathComponent("data/endpoint.json"), encoding: .utf8)
    let other = try TestRun()
    let taken = try #require(endpoint.firstMatch(of: /"http" : "([^"]*)"/)).1
    try other.edit("http: \"127.0.0.1:0\"", to: "http: \"\(taken)\"")
    #expect(try Self.report(other).failing == ["port for http"])
    run.stop()

    try run.edit("epochs: 4", to: "epochs: 5")
    #expect(try Self.report(run).failing == ["run file"])
    try run.edit("epochs: 5", to: "epochs: 4")

    // A start refuses it too, before there is a run that the corrected file might differ from.
    let open = try TestRun()
    try open.edit("http: \"127.0.0.1:0\"", to: "http: \"0.0.0.0:0\"")
    // Required: a coordinator that took the address would run on.
    try #require(try Self.report(open).failing == ["run file"])
    let start = try open.refusedCoordinator()
    #expect(start.status == 78 && start.errors.contains("other machines can reach"))
    #expect(!FileManager.default.fileExists(atPath: "\(open.folder.path)/data"))

    let token = run.folder.appendingPathComponent("data/token").path
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: token)
    #expect(try Self.report(run).failing == ["secrets"])
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: token)

    for copy in ["journal-a", "journal-b"] {
      let folder = run.folder.appendingPathComponent("data/\(copy)")
      let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      let segment = folder.appendingPathComponent(
        try #require(names.sorted().first { $0.hasSuffix(".journal") }, "\(names)"))
      var bytes = try Data(contentsOf: segment)
      for at in 100..<200 { bytes[at] ^= 0xff }
      try bytes.write(to: segment)
      if copy == "journal-a" {
        let half = try Self.report(run)
        #expect(half.failing.isEmpty)
        #expect(half.findings.last?.verdict == "warning")
      }
    }
    let damaged = try Self.report(run)
    #expect(damaged.failing == ["journal"])
    #expect(damaged.findings.last?.hint?.contains("lethe journal verify") == true)
  }
}
