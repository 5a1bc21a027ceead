import CommandLineKit
import CoordinatorCore
import CoordinatorService
import Foundation
import ServiceSupport
import SystemIO
import WireFormat
import WorkerCore
import WorkerService

/// Shared with `up`, which hands it on.
let cacheOption = CommandOption(
  "cache-bytes", .byteCount, default: "1G", environment: "LETHE_CACHE_BYTES",
  help: """
    What a worker may keep of its records between stages: activations below the layers it trains, \
    1.5 KiB a token of MiniLM, which it computes again when they had to go; bits stay the same. A \
    stage in training holds those of its own records, or runs its frozen layers several times an \
    epoch if they were more than that, and more than 64 MiB.
    """)

let workerCommand = Command(
  name: "worker", summary: "train leased blocks and answer predictions",
  discussion: """
    Connects to a coordinator and stays with it; keeps nothing on disk. Worker and coordinator \
    prove to each other that they hold the same key. The process pins its BLAS kernel and one \
    thread before it begins, so that equal machines give equal bits. SIGTERM or Ctrl-C hands the \
    stage over and ends within seconds; a second one ends at once.
    """,
  options: [
    CommandOption(
      "coordinator", .text, placeholder: "HOST:PORT",
      help: "Where the coordinator listens for workers; default: what --run's directory says."),
    serviceRunOption,
    CommandOption(
      "backbone", .path, placeholder: "DIR", help: "The backbone; default: the run file's."),
    CommandOption(
      "starting-adapter", .path, placeholder: "DIR",
      help: "Where the run's blocks start from, if it says so; default: the run file's."),
    CommandOption(
      "key", .path, placeholder: "FILE", environment: "LETHE_KEY_FILE",
      help: "The key to work with, from lethe key new; default: local.key of --run's directory."),
    CommandOption(
      "development", .flag,
      help: "Work with the key that everybody knows; for a coordinator on this machine."),
    CommandOption(
      "role", .choice(["all", "train", "serve"]), default: "all",
      help: "What to work at; a key of role serve allows serving alone."),
    CommandOption(
      "checkpoint-seconds", .number(0.2...3_600), default: "10",
      help: "Training time between two checkpoints of a block; a lost worker costs no more."),
    cacheOption,
  ] + logOptions,
  examples: [
    Example(
      "lethe worker --coordinator 10.0.0.5:7411 --backbone minilm --key gpu-7.key",
      "On another machine, through a tunnel.")
  ], exitCodes: [.configuration, .unavailable, .usage, .missingInput]
) { arguments, console in
  try pinNumerics()
  let path = arguments.string("run")
  let isAlone =
    arguments.string(ifGiven: "coordinator") != nil && arguments.string(ifGiven: "backbone") != nil
  let hasKey = arguments.string(ifGiven: "key") != nil || arguments.flag("development")
  // Somebody who says everything needs no run file.
  let place = isAlone && (hasKey || !FileSystem.exists(path)) ? nil : try RunPlace(path)
  let address =
    try arguments.string(ifGiven: "coordinator")
    ?? place.flatMap { try Endpoint.read(from: $0.directory)?.workers }
  guard let address, let target = NetworkAddress(address),
    let backbone = arguments.string(ifGiven: "backbone") ?? place?.backbone
  else {
    throw ServiceError(
      .unavailable, "it is not known where the coordinator listens",
      try: "start the coordinator first, or give --coordinator HOST:PORT")
  }
  let key = try workerKey(arguments, for: target, place)
  var settings = WorkerService.Settings(
    coordinator: target, backboneFolder: backbone, roles: try roles(arguments, allowedBy: key),
    key: key)
  settings.startingAdapterFolder =
    arguments.string(ifGiven: "starting-adapter") ?? place?.startingAdapter
  settings.session.checkpointInterval = Milliseconds(
    arguments.number("checkpoint-seconds") * 1_000)
  settings.cacheByteLimit = arguments.byteCount("cache-bytes")
  settings.manager = ServiceManager(environment: ProcessInfo.processInfo.environment)
  let service = try WorkerService(settings, log: log("worker", arguments, console))
  let isDraining = Guarded(false)
  // The first one is a request; the second ends the process.
  let signals = TerminationSignals { number in
    let isSecond = isDraining.withLock { isDraining in
      defer { isDraining = true }
      return isDraining
    }
    if isSecond { SystemProcess.exitAtOnce(128 + number) }
    service.drain()
  }
  defer { signals.cancel() }
  try service.run()
  return .ok
}

/// What a run file says to a worker on the same machine.
private struct RunPlace {
  let directory: String
  let backbone: String
  let startingAdapter: String?

  init(_ path: String) throws {
    let file = try readRunFile(path)
    directory = resolve(file.coordinator.directory, base: folder(of: path))
    backbone = resolve(file.backbone, base: folder(of: path))
    startingAdapter = file.training.startingAdapter.map { resolve($0, base: folder(of: path)) }
  }
}

/// The key that the arguments name, or the run's own for workers on its machine.
private func workerKey(
  _ arguments: ParsedArguments, for target: NetworkAddress, _ place: RunPlace?
) throws -> PeerKey {
  if arguments.flag("development") {
    guard target.isLoopback else {
      throw ServiceError(
        .usage, "--development is for a coordinator on this machine, and \(target) is not",
        try: "make a key with lethe key new, and give it with --key FILE")
    }
    return .development
  }
  let local = place.map { "\($0.directory)/\(KeyStore.localName)" }
  guard let path = arguments.string(ifGiven: "key") ?? local else {
    throw ServiceError(
      .configuration, "there is no key to prove this worker with",
      try: "make one with lethe key new on the coordinator's machine, and give it with --key FILE")
  }
  guard FileSystem.exists(path) else {
    throw ServiceError(
      .configuration, "there is no key file \(path)",
      try: "start the coordinator, which makes one, or give --key FILE")
  }
  return try KeyFile.read(path)
}

/// What the arguments ask for, within what the key allows.
private func roles(_ arguments: ParsedArguments, allowedBy key: PeerKey) throws -> Set<WorkerRole> {
  let allowed: Set<WorkerRole> =
    switch key.role {
    case .worker: [.train, .serve]
    case .serve: [.serve]
    case .operator, .reader, .predictor, .auditor, .deleter: []
    }
  let asked: Set<WorkerRole> =
    switch arguments.string("role") {
    case "train": [.train]
    case "serve": [.serve]
    default: [.train, .serve]
    }
  let roles = allowed.intersection(asked)
  guard !roles.isEmpty else {
    throw ServiceError(
      .configuration,
      "the key \(key) does not allow --role \(arguments.string("role"))",
      try: "use a key of role worker: lethe key new --role worker")
  }
  return roles
}
