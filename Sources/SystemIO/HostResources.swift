import Foundation

/// What this process may use of its machine: cores and memory, limits of control groups included.
package struct HostResources: Equatable, Sendable {
  /// At least one.
  package let coreCount: Int
  package let availableByteCount: Int

  /// What a control group (version 2) says in its files.
  package struct ControlGroup: Sendable {
    /// `cpu.max`: microseconds of a core, or `max`, in a period of so many.
    package var processorLimit: String?
    /// `memory.max`: bytes, or `max`.
    package var memoryLimit: String?
    /// `memory.current`
    package var memoryUse: String?

    package init(processorLimit: String?, memoryLimit: String?, memoryUse: String?) {
      self.processorLimit = processorLimit
      self.memoryLimit = memoryLimit
      self.memoryUse = memoryUse
    }
  }

  /// - Parameters:
  ///   - coreCount: Cores that the process may run on.
  ///   - memory: The text of `/proc/meminfo`.
  ///   - groups: Those the process is in, in any order.
  package init(coreCount: Int, memory: String, groups: [ControlGroup]) {
    var cores = coreCount
    var available = Self.availableByteCount(memory)
    for group in groups {
      let processor =
        group.processorLimit?.split(whereSeparator: \.isWhitespace).compactMap { Int($0) } ?? []
      if processor.count == 2, processor[1] > 0 { cores = min(cores, processor[0] / processor[1]) }
      if let limit = Self.number(group.memoryLimit) {
        available = min(available, limit - (Self.number(group.memoryUse) ?? 0))
      }
    }
    self.coreCount = max(1, cores)
    availableByteCount = max(0, available)
  }

  private static func availableByteCount(_ memory: String) -> Int {
    for line in memory.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      return 1024 * (number(line.split(separator: " ").dropFirst().first) ?? 0)
    }
    return 0
  }

  private static func number(_ text: (some StringProtocol)?) -> Int? {
    text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  /// As it stands now.
  package static var current: HostResources {
    HostResources(
      coreCount: ProcessInfo.processInfo.activeProcessorCount, memory: text("/proc/meminfo") ?? "",
      groups: controlGroups())
  }

  private static func controlGroups() -> [ControlGroup] {
    let lines = (text("/proc/self/cgroup") ?? "").split(separator: "\n")
    guard let place = lines.first(where: { $0.hasPrefix("0::/") })?.dropFirst(4) else { return [] }
    let names = place.split(separator: "/")
    return (0...names.count).map { depth in
      let folder = (["/sys/fs/cgroup"] + names.prefix(depth)).joined(separator: "/")
      return ControlGroup(
        processorLimit: text("\(folder)/cpu.max"), memoryLimit: text("\(folder)/memory.max"),
        memoryUse: text("\(folder)/memory.current"))
    }
  }

  private static func text(_ path: String) -> String? {
    (try? FileSystem.read(path)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// How many processes of one thread fit, at least one.
  package func processCount(needing byteCount: Int) -> Int {
    max(1, min(coreCount, availableByteCount / max(1, byteCount)))
  }
}
