import Glibc

/// This process.
package enum SystemProcess {
  /// Ends the process without running anything more, so that no thread can speak after a failure.
  package static func exitAtOnce(_ code: CInt) -> Never { _exit(code) }

  package static var identifier: Int32 { getpid() }

  /// What no other process of this machine is called: its number, and in a container its
  /// namespace's before it, as several containers of one host name each count from 1.
  package static var label: String {
    var status = stat()
    guard stat("/proc/self/ns/pid", &status) == 0, status.st_ino != firstNamespace else {
      return "\(identifier)"
    }
    return "\(status.st_ino)-\(identifier)"
  }

  /// The namespace of processes that the kernel begins with: its PROC_PID_INIT_INO.
  private static let firstNamespace: ino_t = 0xEFFF_FFFC

  package static var hostName: String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Writing to a peer that left must be an error to handle, not the end of the process.
  package static func ignoreBrokenPipes() {
    signal(SIGPIPE, SIG_IGN)
  }

  /// Whether whoever started this process wants it to outlive the terminal.
  package static var ignoresHangUp: Bool {
    var action = sigaction()
    guard sigaction(SIGHUP, nil, &action) == 0 else { return false }
    // A function's address, but for two that stand for none; 1 is SIG_IGN.
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }

  /// Lets SIGTERM, SIGINT and SIGHUP through, whatever mask the process was started with: whoever
  /// started it must be able to end it.
  ///
  /// - Precondition: no thread but this one has started; threads inherit the mask.
  package static func admitTermination() {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGHUP)
    sigprocmask(SIG_UNBLOCK, &signals, nil)
  }

  /// Writes a line to standard error in one call, so that lines of threads do not mix.
  package static func writeError(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(2, bytes, bytes.count)
  }

  /// Starts the same program image again with variables set, keeping process id and arguments.
  ///
  /// Libraries that read the environment while they load see the new values; setting them inside
  /// `main` would be too late. Returns only if the kernel refused.
  package static func restart(settingEnvironment variables: [String: String]) -> SystemCallError {
    for (name, value) in variables { setenv(name, value, 1) }
    let arguments = CommandLine.arguments.map { strdup($0) } + [nil]
    // By its own path where it still has one: the name of a link would be what `ps` and
    // `systemctl status` call the process.
    var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    if readlink("/proc/self/exe", &path, Int(PATH_MAX)) > 0 { execv(path, arguments) }
    execv("/proc/self/exe", arguments)
    return SystemCallError("exec", "/proc/self/exe")
  }

  package static func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }

  /// Takes as many descriptors as the process may have, and returns how many that is.
  package static func raiseDescriptorLimit() -> Int {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0 else { return 256 }
    limit.rlim_cur = min(limit.rlim_max, 1 << 16)
    _ = setrlimit(resource, &limit)
    guard getrlimit(resource, &limit) == 0 else { return 256 }
    return Int(clamping: limit.rlim_cur)
  }
}
