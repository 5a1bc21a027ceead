import CoordinatorService
import Foundation
import Glibc
import ServiceSupport
import SystemIO

/// A coordinator and workers as child processes.
final class LocalProcesses {
  private let runFile: String
  private let directory: String
  private let logPath: String?
  private let patienceSeconds: Double
  private let serviceOptions: [String]
  private let workerOptions: [String]
  private(set) var coordinator: Process
  private(set) var workers: [Process] = []

  /// Starts the coordinator and waits until it is ready.
  ///
  /// - Parameters:
  ///   - logPath: Where the processes' standard error goes; `nil` leaves it to this one's.
  ///   - serviceOptions: What coordinator and workers are started with besides the run file.
  ///   - workerOptions: What every worker is started with besides the run file.
  ///   - patienceSeconds: How long a start may take; that of a large run takes long.
  init(
    runFile: String, directory: String, logPath: String? = nil, serviceOptions: [String] = [],
    workerOptions: [String] = [], patienceSeconds: Double = 60
  ) throws {
    self.patienceSeconds = patienceSeconds
    self.runFile = runFile
    self.directory = directory
    self.logPath = logPath
    self.serviceOptions = serviceOptions
    self.workerOptions = serviceOptions + workerOptions
    coordinator = Process()
    try startCoordinator()
  }

  func startCoordinator() throws {
    coordinator = try start(["coordinator", "--run", runFile] + serviceOptions)
    let deadline = SystemClock.seconds + patienceSeconds
    while SystemClock.seconds < deadline {
      if let endpoint = try Endpoint.read(from: directory),
        endpoint.processIdentifier == coordinator.processIdentifier
      {
        return
      }
      guard coordinator.isRunning else { break }
      SystemClock.sleep(seconds: 0.05)
    }
    throw ServiceError(
      .unavailable, "the coordinator did not become ready",
      try: logPath.map { "see \($0)" } ?? "its last lines above say why")
  }

  func startWorker() throws {
    workers.append(try start(["worker", "--run", runFile] + workerOptions))
  }

  var coordinatorIsRunning: Bool { coordinator.isRunning }

  func restartDeadWorkers() throws {
    for index in workers.indices where !workers[index].isRunning {
      workers[index] = try start(["worker", "--run", runFile] + workerOptions)
    }
  }

  func stopAll() {
    for process in workers + [coordinator] where process.isRunning { process.terminate() }
    for process in workers + [coordinator] { process.waitUntilExit() }
    workers = []
  }

  /// Ends the coordinator whatever signals it has inherited as blocked; nothing is lost.
  func killCoordinator() {
    guard coordinator.isRunning else { return }
    kill(coordinator.processIdentifier, SIGKILL)
    coordinator.waitUntilExit()
  }

  private func start(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    if let logPath {
      if !FileSystem.exists(logPath) { try FileSystem.replace(logPath, with: []) }
      let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: logPath))
      try handle.seekToEnd()
      process.standardError = handle
      process.standardOutput = handle
    }
    try process.run()
    return process
  }
}
