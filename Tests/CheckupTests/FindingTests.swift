import Checkup
import SystemIO
import Testing

/// What `lethe doctor` makes of what it measured.
@Suite struct FindingTests {
  struct DiskCase: CustomTestStringConvertible, Sendable {
    var free: UInt64
    var seconds: Double
    var verdict: Finding.Verdict
    var says: String

    var testDescription: String { "\(free) free, \(seconds) s: \(verdict)" }
  }

  static let disks: [DiskCase] = [
    DiskCase(free: 500 << 30, seconds: 100e-6, verdict: .ok, says: "write back"),
    DiskCase(free: 500 << 30, seconds: 20e-6, verdict: .ok, says: "0.020 ms"),
    DiskCase(free: 500 << 30, seconds: 19e-6, verdict: .warning, says: "faster than a disk"),
    DiskCase(free: 500 << 30, seconds: 0.020, verdict: .ok, says: "20.000 ms"),
    DiskCase(free: 500 << 30, seconds: 0.021, verdict: .warning, says: "slow"),
    DiskCase(free: 100 << 30, seconds: 100e-6, verdict: .ok, says: "100.0 GiB free"),
    DiskCase(free: 99 << 30, seconds: 100e-6, verdict: .warning, says: "free of 1000.0 GiB"),
    DiskCase(free: 63 << 20, seconds: 1e-6, verdict: .failure, says: "63.0 MiB free"),
  ]

  @Test("a disk, by its room and by how long a synced write takes", arguments: disks)
  func disk(_ disk: DiskCase) {
    let finding = Finding.disk(
      "journal a",
      DiskProbe(
        device: 1, byteCount: 1000 << 30, freeByteCount: disk.free, syncSeconds: disk.seconds,
        cache: "write back"))
    #expect(finding.verdict == disk.verdict)
    #expect(finding.text.contains(disk.says), "\(finding.text)")
    #expect((finding.hint == nil) == (disk.verdict == .ok))
  }

  @Test("two copies of the journal on one disk are worth a warning")
  func copies() {
    func probe(_ device: UInt64) -> DiskProbe {
      DiskProbe(
        device: device, byteCount: 1, freeByteCount: 1, syncSeconds: 1, cache: nil)
    }
    #expect(Finding.copies(probe(1), probe(2)).verdict == .ok)
    #expect(Finding.copies(probe(1), probe(1)).verdict == .warning)
  }

  @Test("arithmetic other than the run's gives a worker nothing to do")
  func numerics() {
    #expect(Finding.numerics("A", pinned: nil).verdict == .ok)
    #expect(Finding.numerics("A", pinned: "A").verdict == .ok)
    let other = Finding.numerics("A", pinned: "B")
    #expect(other.verdict == .failure)
    #expect(other.text.contains("A") && other.text.contains("B"))
  }

  @Test("memory for less than one worker, few open files, a clock that nobody keeps")
  func machine() {
    func host(_ kibibytes: Int) -> HostResources {
      HostResources(coreCount: 4, memory: "MemAvailable: \(kibibytes) kB", groups: [])
    }
    let (room, little) = (host(5 << 20), host(1 << 19))
    #expect(Finding.memory(room, forEachWorker: 1 << 30).text.contains("room for 4 workers"))
    #expect(Finding.memory(room, forEachWorker: 2 << 30).text.contains("room for 2 workers"))
    #expect(Finding.memory(room, forEachWorker: 2 << 30).verdict == .ok)
    #expect(Finding.memory(little, forEachWorker: 1 << 30).verdict == .warning)
    #expect(Finding.openFiles(1024).verdict == .ok)
    #expect(Finding.openFiles(1023).verdict == .warning)
    #expect(Finding.clock(isKept: true).verdict == .ok)
    #expect(Finding.clock(isKept: false).verdict == .warning)
    #expect(Finding.clock(isKept: nil).verdict == .ok)
  }

  @Test("a real disk is measured, and nothing stays behind")
  func measured() throws {
    let folder = "/tmp/lethe-probe-\(SystemRandom.bytes(count: 8).map(String.init).joined())"
    try FileSystem.createDirectory(folder)
    defer { try? FileSystem.removeTree(folder) }
    let probe = try DiskProbe.measure(folder)
    #expect(probe.syncSeconds > 0 && probe.byteCount >= probe.freeByteCount)
    #expect(try FileSystem.list(folder).isEmpty)
    #expect(throws: SystemCallError.self) { try DiskProbe.measure("\(folder)/not-there") }
  }
}
