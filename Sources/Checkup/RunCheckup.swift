import CommandLineKit
import CoordinatorCore
import CoordinatorService
import Foundation
import HTTP
import Hashing
import JournalFormat
import ModelFormats
import ServiceSupport
import Storage
import SystemIO
import Unlearning

/// Looks at a run from outside, for `lethe doctor`: changes nothing that a run keeps.
package struct RunCheckup {
  private let file: RunFile
  private let base: String
  private let directory: String
  private let journal: (String, String)
  /// How long a coordinator may take to answer.
  private static let patienceSeconds = 5
  /// Ingested: from then on the data files are not looked at any more.
  private let exists: Bool

  /// - Parameter base: The folder that relative paths in the run file start from.
  /// - Throws: `RunFileError`, `SystemCallError`
  package init(_ file: RunFile, base: String) throws {
    self.file = file
    self.base = base
    directory = resolve(file.coordinator.directory, base: base)
    journal = try file.journalFolders(directory: directory)
    let slices = "\(directory)/slices"
    exists = FileSystem.exists(slices) ? try !FileSystem.list(slices).isEmpty : false
  }

  /// Everything about the run, in the order in which a start would come upon it.
  package func findings() -> [Finding] {
    [settings(), exists ? nil : data()].compactMap { $0 } + disks() + secrets() + service()
  }

  /// The backbone and whether the run file makes a run with it.
  private func settings() -> Finding {
    Finding.of("run file") {
      let backbone = try BackboneFiles(resolve(file.backbone, base: base))
      let adapter = try file.startingAdapter(base: base)
      let layers = backbone.configuration.layerCount
      let run = try file.description(
        backbone: backbone.digest, layerCount: layers, startingAdapter: adapter?.digest)
      _ = try RunState(run)
      _ = try CoordinatorSettings(file, base: base)
      if exists {
        // A damaged journal has a finding of its own.
        do { try OpenedRun.check(file, base: base) } catch is JournalFailure {}
      }
      return "\(file.name): \(run.shardCount) shards of \(run.sliceCount) slices, backbone of "
        + "\(layers) layers with digest \(backbone.digest.hex.prefix(16))"
    }
  }

  private func data() -> Finding {
    Finding.of("data") {
      let records = try file.data.flatMap {
        try readDataset(resolve($0, base: base), labels: file.labels)
      }
      return Humanized.count(records.count, "record") + " in "
        + Humanized.count(file.data.count, "file") + ", not ingested yet"
    }
  }

  private func disks() -> [Finding] {
    var findings: [Finding] = []
    var probes: [DiskProbe] = []
    let folders = [("folder", directory), ("journal a", journal.0), ("journal b", journal.1)]
    for (subject, folder) in folders {
      do {
        let probe = try DiskProbe.measure(Self.nearest(folder))
        probes.append(probe)
        findings.append(.disk(subject, probe))
      } catch {
        findings.append(
          Finding(
            subject, .failure, "cannot be written to: \(error)",
            try: "let the coordinator's user write there"))
      }
    }
    if probes.count == folders.count { findings.append(.copies(probes[1], probes[2])) }
    return findings
  }

  /// The folder, or the lowest above it that is there: a first start makes the rest.
  private static func nearest(_ folder: String) -> String {
    var folder = folder
    while !FileSystem.exists(folder), folder != "/", folder != "." {
      folder = FileSystem.directory(of: folder)
    }
    return folder
  }

  /// What opens the run: nobody but its owner may read it.
  private func secrets() -> [Finding] {
    guard FileSystem.exists("\(directory)/token") else { return [] }
    return [
      Finding.of("secrets") {
        for name in ["token", "tombstone.key", "local.key"] {
          let path = "\(directory)/\(name)"
          if FileSystem.exists(path), try !FileSystem.isPrivate(path) {
            throw ServiceError(
              .configuration, "others may read \(path)",
              try: "chmod 600 it; if others could, make keys anew: lethe help key")
          }
        }
        return "readable by their owner alone"
      }
    ]
  }

  /// The coordinator that runs, or what the next one would meet.
  private func service() -> [Finding] {
    if let answer = answer() { return [answer] }
    var findings = [("workers", file.coordinator.workers), ("http", file.coordinator.http)].map {
      (name, text) in
      Finding.of("port for \(name)") {
        // What is no address has been found in the run file.
        guard let address = NetworkAddress(text) else { return "none" }
        _ = try TCPListener(address)
        return (address.port == 0 ? "any that is free" : "\(text) is free")
          + "; no coordinator runs"
      }
    }
    if exists {
      findings.append(journalState())
    }
    return findings
  }

  /// What a running coordinator says of itself; `nil` if there is none.
  private func answer() -> Finding? {
    guard let endpoint = try? Endpoint.read(from: directory),
      let address = NetworkAddress(endpoint.http)
    else { return nil }
    do {
      let response = try HTTPClient.send(
        "GET", "/readyz", to: address, timeoutSeconds: Self.patienceSeconds)
      guard response.status != 200 else {
        return Finding("coordinator", .ok, "runs at \(address) and is ready")
      }
      let lines = String(decoding: response.body, as: UTF8.self).split(separator: "\n")
      return Finding(
        "coordinator", .failure,
        "runs at \(address) and is not ready: "
          + lines.filter { $0.hasPrefix("[-]") }.joined(separator: ", "),
        try: "ops/runbooks has a page for each")
    } catch let error as SystemCallError where error.isRefused {
      return nil
    } catch {
      return Finding(
        "coordinator", .failure,
        "nothing answers at \(address), where it listens: "
          + ((error as? SystemCallError)?.isTimeout == true
            ? "\(Self.patienceSeconds) s have passed" : "\(error)"),
        try: "see what process \(endpoint.processIdentifier) does; ops/runbooks/LetheDown.md")
    }
  }

  private func journalState() -> Finding {
    let report: JournalInspection.Report
    do throws(JournalFailure) {
      report = try JournalInspection.verify(journal)
      if let refusal = report.refusal { throw refusal }
    } catch {
      return Finding.of("journal") { throw ServiceError(journal: error) }
    }
    let entries = Humanized.count(report.frameCount, "entry", plural: "entries")
    guard !report.isSound else {
      return Finding("journal", .ok, "\(entries), both copies whole and the same")
    }
    return Finding(
      "journal", .warning, "\(entries); one copy is damaged or lags behind",
      try:
        "lethe journal verify says where; the next start mends it from the other copy, so look at "
        + "its disk first")
  }
}
