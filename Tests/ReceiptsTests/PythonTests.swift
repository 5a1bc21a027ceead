import Foundation
import Receipts
import Testing

/// `ops/verify-receipt.py`, written from the pages alone, against what this build makes.
@Suite("Verifier in Python", .enabled(if: Python.isPresent, "SKIPPED: no python3 here"))
struct PythonTests {
  static let script = "ops/verify-receipt.py"

  static func vector(_ name: String) -> String { "Protocols/vectors/\(name)" }
  static let certified = vector("receipt-certified.json")
  static let masked = vector("receipt-masked.json")
  static let three = vector("checkpoint-3.txt")
  static let five = vector("checkpoint-5.txt")
  static let proof = vector("ledger-consistency.json")

  static let rows: [(arguments: [String], status: Int32, because: String)] = [
    ([certified], 0, "consistent in itself"),
    ([certified, "--id", "record 17", "--checkpoint", five], 0, "id and checkpoint are right"),
    ([certified, "--id", "record 4"], 1, "another id"),
    ([certified, "--checkpoint", three], 1, "another size and no proof"),
    ([certified, "--checkpoint", three, "--consistency", proof], 0, "the reader looked earlier"),
    ([masked, "--checkpoint", five, "--consistency", proof], 0, "the ledger has grown"),
    ([masked, "--checkpoint", five, "--consistency", masked], 1, "a receipt is no proof"),
    ([certified, "--checkpoint", proof], 1, "a proof is no checkpoint"),
    ([proof], 1, "a proof is no receipt"),
    (["missing.json"], 1, "no such file"),
    ([], 2, "wrong usage"),
  ]

  @Test("answers with its exit code", arguments: rows)
  func answers(arguments: [String], status: Int32, because: String) throws {
    let result = try Python.run([Self.script] + arguments)
    #expect(result.status == status, "\(because): \(result.output)")
  }

  @Test("refuses every receipt with one bit changed", arguments: [masked, certified])
  func bits(path: String) throws {
    let result = try Python.run([
      "-c",
      """
      import runpy
      module = runpy.run_path("\(Self.script)")
      data = bytearray(open("\(path)", "rb").read())
      module["verify"](bytes(data))
      for place in range(8 * len(data)):
          data[place // 8] ^= 1 << place % 8
          try:
              module["verify"](bytes(data))
              raise SystemExit(f"bit {place} was missed")
          except module["Refused"]:
              data[place // 8] ^= 1 << place % 8
      """,
    ])
    #expect(result.status == 0, "\(result.output)")
  }

  /// Another digest can be computed by anyone, so the checks behind it have to hold by themselves.
  @Test("refuses what was changed and sealed again", arguments: ReceiptTests.changes)
  func changes(change: ReceiptTests.Change) throws {
    var receipt = try Example().receipt(size: 5)
    change.apply(&receipt)
    let file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: file) }
    try Data(receipt.sealed().bytes).write(to: file)
    let result = try Python.run([Self.script, file.path, "--id", "record 17"])
    #expect(result.status == 1 && result.output.hasPrefix("REFUSED: "), "\(result.output)")
  }
}

/// Python, in the checkout.
private enum Python {
  static let isPresent =
    (try? run(["-c", "import sys; assert sys.version_info >= (3, 9)"]))?.status == 0

  static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
    let python = Process()
    python.executableURL = URL(filePath: "/usr/bin/env")
    python.arguments = ["python3"] + arguments
    python.currentDirectoryURL = Example.repository
    let output = Pipe()
    python.standardOutput = output
    python.standardError = output
    try python.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    python.waitUntilExit()
    return (python.terminationStatus, String(decoding: bytes, as: UTF8.self))
  }
}
