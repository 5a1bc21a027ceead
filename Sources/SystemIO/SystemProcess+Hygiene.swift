import Glibc

// What was in memory must not outlive its use: not in freed memory, not in a core file, not in a
// crash report.

extension SystemProcess {
  /// Leaves no core file behind, however this process ends; its children inherit both settings.
  ///
  /// The limit stops the kernel's own files. A kernel that pipes cores to a program does not ask
  /// it, so the filter also takes every kind of memory out of what would be dumped.
  package static func preventCoreDumps() {
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
    // A kernel without core dumps does not have the file.
    if let file = try? OwnedDescriptor.open("/proc/self/coredump_filter", O_WRONLY) {
      try? file.write(Array("0".utf8), path: "coredump_filter")
    }
  }
}

/// Settings that make freed memory empty and crash reports silent about memory.
///
/// The C library and Swift's runtime read them before `main`, so the executable compares, and
/// starts itself again with what is missing.
package enum MemoryHygiene {
  /// What the given environment lacks; empty when the process may go on.
  ///
  /// What else a variable says stays.
  package static func missing(from environment: [String: String]) -> [String: String] {
    var missing: [String: String] = [:]
    for setting in settings {
      let found = environment[setting.variable] ?? ""
      let wanted = setting.merged(into: found)
      if found != wanted { missing[setting.variable] = wanted }
    }
    return missing
  }

  private static let settings = [
    Setting(
      variable: "GLIBC_TUNABLES", separator: ":",
      parts: [
        // Memory is overwritten as it is freed, and as it is allocated.
        ("glibc.malloc.perturb", "165"),
        // A thread's own cache takes small memory back without overwriting it.
        ("glibc.malloc.tcache_count", "0"),
        // A stack goes back to the kernel with its thread instead of to the next thread.
        ("glibc.pthread.stack_cache_size", "0"),
      ]),
    Setting(
      variable: "SWIFT_BACKTRACE", separator: ",",
      // Registers are printed with the memory that they point to, and a terminal may ask for more.
      parts: [("registers", "none"), ("interactive", "no"), ("sanitize", "yes")]),
  ]

  private struct Setting: Sendable {
    var variable: String
    var separator: Character
    var parts: [(name: String, value: String)]

    func merged(into text: String) -> String {
      let others = text.split(separator: separator).filter { part in
        !parts.contains { part.hasPrefix($0.name + "=") }
      }
      return (others.map(String.init) + parts.map { "\($0.name)=\($0.value)" })
        .joined(separator: String(separator))
    }
  }
}
