import CommandLineKit
import CoordinatorCore
import CoordinatorService
import Foundation
import Numerics
import ServiceSupport
import SystemIO
import WorkerService

let serviceRunOption = CommandOption(
  "run", .path, placeholder: "FILE", default: "lethe.json5", environment: "LETHE_RUN",
  help: "The run file.")

let coordinatorCommand = Command(
  name: "coordinator", summary: "own a run: journal, leases, deletions, predictions",
  discussion: """
    Creates the run on its first start, continues it on every later one, whatever ended the \
    process before. Workers prove to have a key of the run, which lethe key makes; HTTP stays on \
    loopback. Stop it with SIGTERM or Ctrl-C; nothing is lost by kill -9.
    """,
  options: [serviceRunOption] + logOptions,
  exitCodes: [.configuration, .unavailable, .badData, .missingInput]
) { arguments, console in
  try protectMemory()
  let path = arguments.string("run")
  let service = try CoordinatorService(
    try readRunFile(path), base: folder(of: path), log: log("coordinator", arguments, console))
  try service.run()
  return .ok
}

let upCommand = Command(
  name: "up", summary: "run a coordinator and workers on this machine",
  discussion: """
    The embedded default: one coordinator and N workers as processes of their own. Ends them all \
    on Ctrl-C, when its terminal goes away, or when the coordinator ends. A worker that dies is \
    started again.
    """,
  options: [
    serviceRunOption,
    CommandOption(
      "workers", .word("auto", or: .integer(1...64)), default: "2",
      help: """
        Worker processes, of one thread each. auto: as many as there are cores, if memory allows: \
        each needs its cache and twice the backbone.
        """),
    cacheOption,
  ] + logOptions,
  examples: [
    Example("lethe up --run lethe.json5 --workers 2", "Everything on this machine."),
    Example("lethe up --workers auto", "With all its cores."),
  ], exitCodes: [.configuration, .unavailable, .badData, .missingInput]
) { arguments, console in
  let path = arguments.string("run")
  let file = try readRunFile(path)
  let directory = resolve(file.coordinator.directory, base: folder(of: path))
  // Before there is a process that would stay behind.
  let stopped = Promise<Int32>()
  let signals = TerminationSignals { _ in stopped.fulfil(0) }
  defer { signals.cancel() }
  let processes = try LocalProcesses(
    runFile: path, directory: directory, serviceOptions: logArguments(arguments),
    workerOptions: ["--cache-bytes", arguments.string("cache-bytes")])
  let workers = try workerCount(arguments, file, base: folder(of: path), console)
  for _ in 0..<workers { try processes.startWorker() }
  console.note(
    "run \(file.name): coordinator and \(workers) worker\(workers == 1 ? "" : "s") are up")
  console.note("next: lethe train --run \(path) --watch")
  while stopped.wait(seconds: 1) == nil {
    guard processes.coordinatorIsRunning else {
      processes.stopAll()
      throw ServiceError(.failure, "the coordinator ended", try: "its last lines above say why")
    }
    try processes.restartDeadWorkers()
  }
  processes.stopAll()
  return .ok
}

/// What `--workers` says, or what this machine has room for.
private func workerCount(
  _ arguments: ParsedArguments, _ file: RunFile, base: String, _ console: Console
) throws -> Int {
  if let count = Int(arguments.string("workers")) { return count }
  let needed = try workerByteCount(file, base: base, arguments)
  let host = HostResources.current
  let count = min(64, host.processCount(needing: needed))
  console.note(
    "\(host.coreCount) cores and \(Humanized.bytes(host.availableByteCount)) of memory, "
      + "\(Humanized.bytes(needed)) for each worker")
  return count
}

/// Memory that one worker may come to need.
///
/// Beside the cache and the mapped backbone: merged weights, at most as much again, and a step's
/// memory, which is bounded by the tokens of a part and not by the batch.
func workerByteCount(_ file: RunFile, base: String, _ arguments: ParsedArguments) throws -> Int {
  let weights = "\(resolve(file.backbone, base: base))/\(BackboneFiles.weightsName)"
  do {
    return arguments.byteCount("cache-bytes") + 2 * (try FileSystem.byteCount(weights)) + 128 << 20
  } catch {
    throw ServiceError(error, while: "looking for the backbone")
  }
}

/// Makes sure that this process keeps no record longer than it must, and that its BLAS is the run's
/// kind: pinned kernel, one thread.
func pinNumerics() throws {
  try restart(lacking: NumericEnvironment.missing(from: ProcessInfo.processInfo.environment))
}

/// Makes sure that this process keeps no record longer than it must.
func protectMemory() throws {
  try restart(lacking: [])
}

/// Starts the program again, once, with what its environment lacks.
///
/// OpenBLAS, the C library and Swift's runtime read the environment before `main`.
private func restart(lacking numerics: [(name: String, value: String)]) throws {
  var missing = MemoryHygiene.missing(from: ProcessInfo.processInfo.environment)
  for (name, value) in numerics { missing[name] = value }
  guard !missing.isEmpty else { return }
  throw ServiceError(
    SystemProcess.restart(settingEnvironment: missing), while: "setting the environment")
}
