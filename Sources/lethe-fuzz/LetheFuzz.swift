import FuzzTargets
import Glibc

// Two programs: with `-D LIBFUZZER`, as `ops/fuzz` builds it, libFuzzer has the main function and
// calls in; an ordinary build has one of its own, which replays inputs and mutates them itself.
#if LIBFUZZER

  private let target: FuzzTarget = {
    let name = getenv("LETHE_FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget.named(name) else { fatalError("no target \"\(name)\"") }
    return target
  }()

  /// One input of libFuzzer's.
  @_cdecl("LLVMFuzzerTestOneInput")
  public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
  }

#else

  /// Runs targets without libFuzzer; used by the tests and by `ops/fuzz`.
  @main enum LetheFuzz {
    private static let help = """
      usage: lethe-fuzz list
             lethe-fuzz seeds TARGET FOLDER          writes the valid inputs to files
             lethe-fuzz replay TARGET FILE ...       runs these inputs
             lethe-fuzz mutate TARGET COUNT SEED LAST
                                                     runs COUNT inputs changed from the valid ones;
                                                     the file LAST holds the one that is running

      """

    /// More than any parser needs for an input of this size.
    private static let memoryByteLimit: rlim_t = 1 << 30
    private static let secondsLimit = 1

    static func main() {
      let arguments = Array(CommandLine.arguments.dropFirst())
      if arguments == ["list"] {
        for target in FuzzTarget.all { print(target.name) }
        return
      }
      guard arguments.count >= 3, let target = FuzzTarget.named(arguments[1]) else { end(help) }
      let rest = Array(arguments[2...])
      switch (arguments[0], rest.count) {
      case ("seeds", 1): writeSeeds(target, to: rest[0])
      case ("replay", _):
        limit()
        for path in rest { run(target, read(path)) }
      case ("mutate", 3):
        guard let count = Int(rest[0]), let seed = UInt64(rest[1]) else { end(help) }
        mutate(target, count: count, seed: seed, last: rest[2])
      default: end(help)
      }
    }

    private static func mutate(_ target: FuzzTarget, count: Int, seed: UInt64, last: String) {
      limit()
      let seeds = target.seeds()
      for bytes in seeds { run(target, bytes) }
      // The kernel keeps a shared page when the process dies on an input.
      let mapped = mapping(last)
      var mutator = Mutator(corpus: seeds, seed: seed)
      for _ in 0..<count {
        let bytes = mutator.next()
        mapped.storeBytes(of: UInt32(bytes.count), as: UInt32.self)
        bytes.withUnsafeBytes { input in
          UnsafeMutableRawBufferPointer(start: mapped + 4, count: input.count).copyMemory(
            from: input)
        }
        run(target, bytes)
      }
    }

    private static func run(_ target: FuzzTarget, _ bytes: [UInt8]) {
      // Processor time, so that a busy machine is no reason; the signal ends the process.
      var timer = itimerval(
        it_interval: timeval(), it_value: timeval(tv_sec: secondsLimit, tv_usec: 0))
      setitimer(__itimer_which_t(ITIMER_PROF.rawValue), &timer, nil)
      target.run(bytes)
    }

    private static func limit() {
      var limit = rlimit(rlim_cur: memoryByteLimit, rlim_max: memoryByteLimit)
      setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
    }

    // MARK: - Files

    private static func writeSeeds(_ target: FuzzTarget, to folder: String) {
      for (index, bytes) in target.seeds().enumerated() {
        let path = "\(folder)/seed-\(index)"
        guard let file = fopen(path, "w"), fwrite(bytes, 1, bytes.count, file) == bytes.count,
          fclose(file) == 0
        else { end("cannot write \(path)\n") }
      }
    }

    private static func read(_ path: String) -> [UInt8] {
      guard let file = fopen(path, "r") else { end("cannot read \(path)\n") }
      defer { fclose(file) }
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
        bytes += buffer[..<count]
      }
      return bytes
    }

    /// A length of four bytes, and room for the longest input.
    private static func mapping(_ path: String) -> UnsafeMutableRawPointer {
      let byteCount = 4 + Mutator.byteLimit
      let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
      guard descriptor >= 0, ftruncate(descriptor, byteCount) == 0,
        let memory = mmap(
          nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
        memory != MAP_FAILED
      else { end("cannot map \(path)\n") }
      return memory
    }

    private static func end(_ message: String) -> Never {
      message.withCString { _ = write(STDERR_FILENO, $0, strlen($0)) }
      exit(64)
    }
  }

#endif
