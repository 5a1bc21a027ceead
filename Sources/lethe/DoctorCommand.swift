import Checkup
import CommandLineKit
import CoordinatorAPI
import CoordinatorService
import Numerics
import ServiceSupport
import SystemIO

/// `lethe doctor`: whether this machine and a run are fit for each other.
let doctorCommand = Command(
  name: "doctor", summary: "see whether this machine and a run are fit for each other",
  discussion: """
    Before a first start, or when something is wrong: memory, clock, disks with the time of a \
    synced write, and the bits that this machine's arithmetic gives; with a run file also the \
    backbone, the data, both copies of the journal and the coordinator, or the ports it would \
    take. Changes nothing; writes and removes one small file in each folder of the run. Ends with \
    1 if anything would not work; warnings alone end with 0.
    """,
  options: [
    CommandOption(
      "run", .path, placeholder: "FILE", environment: "LETHE_RUN",
      help: "The run file; default: lethe.json5, if it is there."),
    cacheOption,
  ],
  examples: [Example("lethe doctor --run lethe.json5", "Before its first start.")]
) { arguments, console in
  try pinNumerics()
  let path = arguments.string(ifGiven: "run") ?? "lethe.json5"
  let isOnMachineAlone = arguments.string(ifGiven: "run") == nil && !FileSystem.exists(path)
  if isOnMachineAlone { console.note("no \(path) here: looking at the machine alone") }
  let result = DoctorReport(try findings(isOnMachineAlone ? nil : path, arguments))
  try show(result, arguments, console, text: reportText)
  return result.failures == 0 ? .ok : .failure
}

/// What `lethe doctor` prints.
private struct DoctorReport: Encodable {
  var findings: [Finding]
  var failures: Int
  var warnings: Int

  init(_ findings: [Finding]) {
    self.findings = findings
    failures = findings.count { $0.verdict == .failure }
    warnings = findings.count { $0.verdict == .warning }
  }
}

private func findings(_ path: String?, _ arguments: ParsedArguments) throws -> [Finding] {
  var worker = arguments.byteCount("cache-bytes")
  var pinned: String?
  var ofRun: [Finding] = []
  if let path {
    do {
      let file = try readRunFile(path)
      let base = folder(of: path)
      ofRun = try RunCheckup(file, base: base).findings()
      worker = (try? workerByteCount(file, base: base, arguments)) ?? worker
      if ofRun.contains(where: { $0.subject == "coordinator" && $0.verdict == .ok }) {
        let client = try? CoordinatorClient(
          directory: resolve(file.coordinator.directory, base: base))
        pinned = (try? client?.get("/v1/status") as RunStatus?)?.numericClass
      }
    } catch {
      ofRun = [Finding.of("run file") { throw error }]
    }
  }
  return [
    .numerics(NumericClass.current().identifier, pinned: pinned),
    .memory(.current, forEachWorker: worker),
    .openFiles(SystemProcess.raiseDescriptorLimit()),
    .clock(isKept: SystemClock.isKept),
  ] + ofRun
}

private func reportText(_ report: DoctorReport) -> String {
  let width = report.findings.map(\.subject.count).max() ?? 0
  var lines: [String] = []
  for finding in report.findings {
    let verdict = finding.verdict == .ok ? "ok" : finding.verdict.rawValue.uppercased()
    lines.append(
      "\(padded(verdict, to: 7))  \(padded(finding.subject, to: width))  \(finding.text)")
    if let hint = finding.hint { lines.append("         try: \(hint)") }
  }
  lines.append(
    "\(Humanized.count(report.findings.count, "thing")) looked at: "
      + "\(Humanized.count(report.failures, "failure")), "
      + "\(Humanized.count(report.warnings, "warning"))")
  return lines.joined(separator: "\n")
}
