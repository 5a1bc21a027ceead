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
    "CoordinatorCore", "WorkerCore", "Ledger", "Forecast",
  ]
  static let numeric: Set = [
    "COpenBLAS", "Numerics", "ModelFormats", "Training", "Evaluation",
  ]
  static let shell: Set = [
    "SystemIO", "Datasets", "Storage", "HTTP", "CoordinatorAPI", "ServiceSupport",
    "CoordinatorService", "WorkerService",
  ]

  static let rules: [String: Rule] = {
    var rules: [String: Rule] = [:]
    for target in core { rules[target] = Rule(core) }

    rules["COpenBLAS"] = Rule()
    rules["Numerics"] = Rule(core.union(["COpenBLAS"]))
    // Reads published files and computes nothing, so that a coordinator may use it too.
    rules["ModelFormats"] = Rule(core, systems: ["Foundation"])
    rules["Evaluation"] = Rule(core.union(["Numerics"]))
    rules["Training"] = Rule(core.union(["COpenBLAS", "Numerics", "ModelFormats"]))

    let shellSystems: Set = ["Foundation", "Synchronization"]
    // Declares what the C library has and the Glibc module does not show; nothing more.
    rules["CSystem"] = Rule()
    rules["SystemIO"] = Rule(core.union(["CSystem"]), systems: shellSystems.union(["Glibc"]))
    rules["Datasets"] = Rule(core.union(["SystemIO"]), systems: ["Foundation"])
    rules["Storage"] = Rule(core.union(["SystemIO", "Datasets"]), systems: shellSystems)
    rules["HTTP"] = Rule(core.union(["SystemIO"]), systems: shellSystems)
    rules["CoordinatorAPI"] = Rule(core.union(["HTTP"]), systems: ["Foundation"])
    rules["ServiceSupport"] = Rule(
      core.union(["SystemIO", "Datasets", "ModelFormats"]), systems: shellSystems)
    let services = shell.subtracting(["CoordinatorService", "WorkerService"]).union(core)
    rules["CoordinatorService"] = Rule(
      services.union(["ModelFormats", "Receipts"]), systems: shellSystems)
    rules["WorkerService"] = Rule(services.union(numeric), systems: shellSystems)

    // Documents for people outside the run: what they say follows from the ledger alone.
    rules["Receipts"] = Rule(["Ledger", "Hashing"], systems: ["Foundation"])
    rules["CommandLineKit"] = Rule(["ByteCoding"], systems: shellSystems.union(["Glibc"]))
    // Looks at what a coordinator would meet, from outside.
    rules["Checkup"] = Rule(
      core.union(shell).union(["ModelFormats", "CommandLineKit"]), systems: ["Foundation"])
    // Draws what it is given.
    rules["Reporting"] = Rule(["CommandLineKit"])
    // The core with everything around it made of values; only the command has a clock and threads.
    rules["SimulationKit"] = Rule(core)
    rules["lethe-simulator"] = Rule(
      core.union(["SimulationKit", "CommandLineKit", "SystemIO"]),
      systems: shellSystems.union(["Dispatch"]))
    rules["lethe"] = Rule(
      core.union(numeric).union(shell).union(["Checkup", "CommandLineKit", "Receipts", "Reporting"]
      ),
      systems: shellSystems.union(["Glibc", "Dispatch"]))

    // Calls what reads bytes from outside, wherever it lies, and does nothing else.
    rules["FuzzTargets"] = Rule(
      core.union(shell).union(["ModelFormats", "Receipts"]), systems: ["Foundation"])
    rules["lethe-fuzz"] = Rule(["FuzzTargets"], systems: ["Glibc"])
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
      for module in codeLines(Repository.lines(path)).compactMap(importedModule) {
        #expect(
          rule.targets.contains(module) || rule.systems.contains(module),
          "\(path) imports \(module)")
      }
    }
  }

  @Test("the table itself has no way round", arguments: ImportTests.rules.keys.sorted())
  func acyclic(target: String) {
    // Core targets are one layer in this table; the manifest orders them among themselves.
    #expect(Self.core.contains(target) || !reach(of: target).contains(target))
  }

  @Test("a coordinator owns the run and does no model mathematics")
  func coordinatorWithoutBLAS() {
    #expect(
      reach(of: "CoordinatorService").isDisjoint(with: ["COpenBLAS", "Numerics", "Training"]))
  }

  /// Everything a target may come to import, step by step.
  private func reach(of target: String) -> Set<String> {
    var waiting = Array(Self.rules[target]?.targets ?? [])
    var seen: Set<String> = []
    while let next = waiting.popLast() {
      if seen.insert(next).inserted { waiting += Self.rules[next]?.targets ?? [] }
    }
    return seen
  }

  @Test("does not read text as code")
  func text() {
    let lines: [Substring] = [
      "let a = #\"\"\"", "  import json", "  \"\"\"Text.\"\"\"", "  import os", "  \"\"\"#",
      "import Hashing", "let b = \"\"\"", "  import sys", "  \"\"\"", "let c = 1",
    ]
    #expect(codeLines(lines).compactMap(importedModule) == ["Hashing"])
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

/// The lines outside literals of several lines.
private func codeLines(_ lines: [Substring]) -> [Substring] {
  var end: String?
  return lines.filter { line in
    if let mark = end {
      if line.drop(while: { $0 == " " }).hasPrefix(mark) { end = nil }
      return false
    }
    if line.hasSuffix("\"\"\"") { end = line.hasSuffix("#\"\"\"") ? "\"\"\"#" : "\"\"\"" }
    return true
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
