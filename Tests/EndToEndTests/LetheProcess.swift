import Foundation
import TestKit
import Testing

/// Runs the shipped executable, as a user would, on the tiny BERT that is committed beside the
/// tests.
enum Lethe {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static let backbone = root.appendingPathComponent("Tests/Fixtures/tiny-bert/model").path

  /// The executable built together with these tests.
  static var executable: URL {
    // The test bundle and the executable are products of one build, side by side.
    var folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    for argument in CommandLine.arguments where argument.contains(".xctest") {
      folder = URL(fileURLWithPath: argument)
    }
    let built = folder.deletingLastPathComponent().appendingPathComponent("lethe")
    // Under a sanitizer there is no second choice: another build would find nothing.
    if Pace.sanitizer != nil || FileManager.default.isExecutableFile(atPath: built.path) {
      return built
    }
    return root.appendingPathComponent(".build/release/lethe")
  }

  struct Output {
    var status: Int32
    var text: String
    var errors: String
  }

  @discardableResult
  static func run(
    _ arguments: [String], input: String? = nil, executable: URL = Lethe.executable
  ) throws -> Output {
    let process = Process()
    let output = Pipe()
    let errors = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try Data().write(to: errors)
    defer { try? FileManager.default.removeItem(at: errors) }
    process.executableURL = executable
    process.arguments = arguments
    process.standardOutput = output
    process.standardError = try FileHandle(forWritingTo: errors)
    let pipe = Pipe()
    process.standardInput = pipe
    try process.run()
    if let input { try pipe.fileHandleForWriting.write(contentsOf: Data(input.utf8)) }
    try pipe.fileHandleForWriting.close()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return Output(
      status: process.terminationStatus, text: text,
      errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
  }

  /// Runs a service that is to refuse its work; one that begins it is killed.
  ///
  /// - Parameter works: Whether it has begun, by what it has said so far.
  /// - Returns: What it said, all of it as `errors`; status 9 if it had to be killed.
  static func refused(_ arguments: [String], orElse works: (String) throws -> Bool) throws
    -> Output
  {
    let log = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: log) }
    let process = try start(arguments, log: log)
    func end() {
      if process.isRunning { kill(process.processIdentifier, SIGKILL) }
      process.waitUntilExit()
    }
    defer { end() }
    func said() throws -> String { String(decoding: try Data(contentsOf: log), as: UTF8.self) }
    try waitUntil("the end of lethe \(arguments[0])", seen: try said()) {
      try !process.isRunning || works(said())
    }
    end()
    return Output(status: process.terminationStatus, text: "", errors: try said())
  }

  static func json<Value: Decodable>(_ arguments: [String], status: Int32 = 0) throws -> Value {
    let output = try run(arguments + ["--format", "json"])
    try #require(output.status == status, "\(arguments): \(output.errors)")
    return try JSONDecoder().decode(Value.self, from: Data(output.text.utf8))
  }

  static let strace = URL(fileURLWithPath: "/usr/bin/strace")

  /// - Parameter runner: A program of `/usr/bin` with its options to start under; a tracer with
  ///   `-D` keeps the process's own identifier, and one that becomes the process does.
  static func start(_ arguments: [String], under runner: [String]? = nil, log: URL) throws
    -> Process
  {
    let process = Process()
    if let runner {
      process.executableURL = URL(fileURLWithPath: "/usr/bin/\(runner[0])")
      process.arguments = runner.dropFirst() + [executable.path] + arguments
    } else {
      process.executableURL = executable
      process.arguments = arguments
    }
    process.standardInput = FileHandle.nullDevice
    // Appending: processes that share a log would else write over each other's lines.
    let number = open(log.path, O_WRONLY | O_APPEND | O_CREAT, 0o600)
    try #require(number >= 0)
    let handle = FileHandle(fileDescriptor: number, closeOnDealloc: true)
    process.standardError = handle
    process.standardOutput = handle
    try process.run()
    return process
  }
}
