import Foundation
import FuzzTargets
import Testing

/// Every parser under changed inputs, in a process of its own that may die of them.
@Suite("Fuzz targets", .serialized) struct FuzzTests {
  static let names = FuzzTarget.all.map(\.name)

  @Test("have names and valid inputs of their own")
  func table() {
    #expect(Set(Self.names).count == Self.names.count)
    for target in FuzzTarget.all {
      #expect(!target.seeds().isEmpty, "\(target.name)")
      #expect(target.seeds() == target.seeds(), "\(target.name) begins otherwise every time")
    }
  }

  @Test("come back from every changed input", arguments: FuzzTarget.all.map(\.name))
  func mutated(name: String) throws {
    let target = try #require(FuzzTarget.named(name))
    let last = FileManager.default.temporaryDirectory.appending(path: "fuzz-\(UUID().uuidString)")
    let count = String(target.testExecutionCount)
    let failure = try Self.run(["mutate", name, count, "1", last.path])
    if failure == nil { try FileManager.default.removeItem(at: last) }
    // The file begins with the input's length, in four bytes.
    #expect(failure == nil, "after byte 4 of \(last.path) stands the input that did it")
  }

  @Test("come back from what once went wrong", arguments: FuzzTarget.all.map(\.name))
  func regressions(name: String) throws {
    let files = try Self.regressionFiles(name)
    guard !files.isEmpty else { return }
    #expect(try Self.run(["replay", name] + files.map(\.path)) == nil)
  }

  @Test("every folder of such inputs is a target's")
  func folders() throws {
    let folders = try FileManager.default.contentsOfDirectory(atPath: Self.fixtures.path)
    #expect(Set(folders).subtracting(["README.md"]).isSubset(of: Self.names))
  }

  @Test("the mutator gives the same inputs for the same seed")
  func deterministic() {
    var (one, two) = (
      Mutator(corpus: [[1, 2, 3], []], seed: 7), Mutator(corpus: [[1, 2, 3], []], seed: 7)
    )
    for _ in 0..<1000 { #expect(one.next() == two.next()) }
  }

  // MARK: - Processes

  private static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private static let fixtures = root.appending(path: "Tests/Fixtures/fuzz")

  private static func regressionFiles(_ name: String) throws -> [URL] {
    let folder = fixtures.appending(path: name)
    guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
    return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .sorted { $0.path < $1.path }
  }

  /// The executable built together with these tests.
  private static var executable: URL {
    var folder = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    for argument in CommandLine.arguments where argument.contains(".xctest") {
      folder = URL(filePath: argument)
    }
    let built = folder.deletingLastPathComponent().appending(path: "lethe-fuzz")
    if FileManager.default.isExecutableFile(atPath: built.path) { return built }
    return root.appending(path: ".build/release/lethe-fuzz")
  }

  /// What `lethe-fuzz` died of, or `nil`.
  private static func run(_ arguments: [String]) throws -> String? {
    let process = Process()
    let errors = Pipe()
    process.executableURL = executable
    process.arguments = arguments
    process.environment = ["SWIFT_BACKTRACE": "enable=no"]
    process.standardError = errors
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let text = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    if process.terminationReason == .exit, process.terminationStatus == 0 { return nil }
    return "status \(process.terminationStatus): \(String(decoding: text, as: UTF8.self))"
  }
}
