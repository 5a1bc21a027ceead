/// What a process of this machine has used so far, as its kernel counts it.
package struct ProcessUsage: Sendable {
  /// Seconds of all its threads on a core, in its own code and in the kernel for it.
  package let processorSeconds: Double
  /// The most memory it ever held at a time.
  package let peakResidentByteCount: Int
  /// Memory it holds now that no file backs.
  package let privateResidentByteCount: Int
  /// All memory it holds now.
  package let residentByteCount: Int
  /// When it began, in seconds since 1970; whole seconds, as the kernel tells its own start.
  package let startSeconds: Double
  /// The descriptors it has open; 0 where this process may not look.
  package let openDescriptorCount: Int

  /// Of this process.
  package static var own: ProcessUsage { ProcessUsage(of: SystemProcess.identifier)! }

  /// - Returns: `nil` if there is no such process.
  package init?(of identifier: Int32) {
    guard let stat = Self.text("/proc/\(identifier)/stat"),
      let status = Self.text("/proc/\(identifier)/status"),
      // The second field is a name in parentheses and may hold anything.
      let nameEnd = stat.lastIndex(of: ")")
    else { return nil }
    let fields = stat[nameEnd...].split(separator: " ")
    guard fields.count > 20, let user = Double(fields[12]), let kernel = Double(fields[13]),
      let startTicks = Double(fields[20])
    else {
      return nil
    }
    // Linux counts for user space in hundredths, whatever its own clock.
    processorSeconds = (user + kernel) / 100
    func byteCount(_ name: String) -> Int {
      let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
      return 1024
        * (line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first
          .flatMap { Int($0) } ?? 0)
    }
    peakResidentByteCount = byteCount("VmHWM:")
    privateResidentByteCount = byteCount("RssAnon:")
    residentByteCount = byteCount("VmRSS:")
    let boot = Self.text("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
    startSeconds = (boot.flatMap { Double($0.dropFirst(6)) } ?? 0) + (startTicks / 100).rounded()
    openDescriptorCount = (try? FileSystem.list("/proc/\(identifier)/fd").count) ?? 0
  }

  private static func text(_ path: String) -> String? {
    (try? FileSystem.read(path)).map { String(decoding: $0, as: UTF8.self) }
  }
}
