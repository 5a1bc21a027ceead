import Testing

/// The architecture as a table: which target may import what. A new row or a new arrow here is a
/// design change and belongs in its own commit, with the reason.
@Suite("Imports") struct ImportTests {
  struct Rule {
    let targets: Set<String>
    let systems: Set<String>

    init(_ targets: Set<String> = [], systems: Set<String> = []) {
      self.targets = targets
      self.systems = systems
    }
  }

  static let core: Set = [
    "ByteCoding", "Hashing", "Unlearning", "Tokenization", "WireFormat", "JournalFormat",
    "CoordinatorCore",
  ]
  static let numeric: Set = ["COpenBLAS", "Numerics", "ModelFormats", "Training"]
  static let shell: Set = [
    "SystemIO", "Storage", "Datasets", "HTTP", "CoordinatorAPI", "CoordinatorService",
    "WorkerService",
  ]

  static let rules: [String: Rule] = {
    var rules: [String: Rule] = [:]
    for target in core { rules[target] = Rule(core) }
    rules["COpenBLAS"] = Rule()
    rules["Numerics"] = Rule(core.union(["COpenBLAS"]))
    rules["ModelFormats"] = Rule(core.union(["Numerics"]), systems: ["Foundation"])
    rules["Training"] = Rule(core.union(["COpenBLAS", "Numerics", "ModelFormats"]))
    rules["SystemIO"] = Rule(core, systems: ["Foundation", "Glibc", "Synchronization"])
    rules["Storage"] = Rule(core.union(["SystemIO"]), systems: ["Foundation", "Synchronization"])
    rules["Datasets"] = Rule(core.union(["SystemIO"]), systems: ["Foundation"])
    rules["HTTP"] = Rule(core.union(["SystemIO"]), systems: ["Foundation", "Synchronization"])
    rules["CoordinatorAPI"] = Rule(core.union(["HTTP"]), systems: ["Foundation"])
    // The coordinator owns the run and does no model mathematics, so that it starts fast, stays
    // small and never depends on a BLAS.
    rules["CoordinatorService"] = Rule(
      core.union(["SystemIO", "Storage", "Datasets", "HTTP", "CoordinatorAPI"]),
      systems: ["Foundation", "Synchronization"])
    rules["WorkerService"] = Rule(
      core.union(numeric).union(["SystemIO", "Storage", "Datasets"]),
      systems: ["Foundation", "Synchronization"])
    rules["CommandLineKit"] = Rule(systems: ["Foundation", "Glibc", "Synchronization"])
    rules["lethe"] = Rule(
      core.union(numeric).union(shell).union(["CommandLineKit"]),
      systems: ["Foundation", "Glibc", "Synchronization", "Dispatch"])
    return rules
  }()

  static let targets = Set(
    Repository.paths(under: "Sources").compactMap { path in
      let parts = path.split(separator: "/")
      return parts.count > 2 ? String(parts[1]) : nil
    }
  ).sorted()

  @Test("every target has its row in the table", arguments: targets)
  func known(target: String) {
    #expect(Self.rules[target] != nil, "say in ImportTests what \(target) may import")
  }

  @Test("a target imports only what its layer may", arguments: targets)
  func allowed(target: String) throws {
    let rule = try #require(Self.rules[target])
    for path in Repository.paths(under: "Sources/\(target)", suffix: ".swift") {
      for module in Repository.lines(path).compactMap(importedModule) {
        #expect(
          rule.targets.contains(module) || rule.systems.contains(module),
          "\(path) imports \(module)")
      }
    }
  }

  @Test("the table itself has no way round", arguments: ImportTests.rules.keys.sorted())
  func acyclic(target: String) throws {
    // Core targets are one layer in this table; the manifest orders them among themselves.
    guard !Self.core.contains(target) else { return }
    var waiting = Array(try #require(Self.rules[target]).targets.subtracting(Self.core))
    var seen: Set<String> = []
    while let next = waiting.popLast() {
      if !seen.insert(next).inserted { continue }
      waiting += Self.rules[next]?.targets.subtracting(Self.core) ?? []
    }
    #expect(!seen.contains(target))
  }

  @Test(
    "reads import lines",
    arguments: [
      ("import Hashing", "Hashing", "plain"),
      ("  @preconcurrency import Glibc  // errno", "Glibc", "attribute and comment"),
      ("package import Foundation", "Foundation", "access level"),
      ("import struct Foundation.Data", "Foundation", "one declaration"),
      ("// import Nothing", nil, "comment"),
      ("let important = 1", nil, "another word"),
    ] as [(String, String?, String)])
  func reads(line: String, module: String?, because: String) {
    #expect(importedModule(line[...]) == module, "\(because)")
  }
}

/// The module a line imports, or `nil` when it imports none.
private func importedModule(_ line: Substring) -> String? {
  var words = line.split(separator: " ")[...]
  let modifiers: Set<Substring> = ["package", "public", "internal", "private", "fileprivate"]
  while let word = words.first, word.hasPrefix("@") || modifiers.contains(word) {
    words.removeFirst()
  }
  guard words.popFirst() == "import" else { return nil }
  let kinds: Set<Substring> = [
    "struct", "class", "enum", "protocol", "func", "var", "let", "typealias",
  ]
  if let word = words.first, kinds.contains(word) { words.removeFirst() }
  return words.first?.split(separator: ".").first.map(String.init)
}
