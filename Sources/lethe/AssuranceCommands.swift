import ByteCoding
import CommandLineKit
import CoordinatorAPI
import CoordinatorService
import Foundation
import HTTP
import Ledger
import Receipts
import ServiceSupport
import SystemIO

// MARK: - Receipts and ledger

let receiptCommand = Command(
  name: "receipt", summary: "show a deletion's receipt, or verify one offline",
  verbs: [
    Command(
      name: "show", summary: "print the receipt of a deleted record",
      discussion: """
        The receipt is JSON whose every byte counts; save it as it is. It does not hold the id: \
        whoever knows the id can open its salted commitment.
        """,
      arguments: [Argument("id", help: "The deleted record's id.")],
      options: CoordinatorClient.options + [
        CommandOption("output", .path, placeholder: "FILE", help: "Write it here instead.")
      ], exitCodes: CoordinatorClient.exitCodes
    ) { arguments, console in
      let bytes = try CoordinatorClient(arguments).bytes(
        "/v1/receipts?id=\(arguments.string("id").percentEncoded)")
      if let path = arguments.string(ifGiven: "output") {
        try writing(path) { try FileSystem.replace(path, with: bytes) }
        console.note("wrote \(path); verify it with lethe receipt verify \(path)")
      } else {
        // The file ends with a line break, and printing adds one.
        try console.print(String(decoding: bytes.dropLast(), as: UTF8.self))
      }
      return .ok
    },
    Command(
      name: "verify", summary: "verify a receipt from its file alone",
      discussion: "Needs no coordinator and no network. Exit 0 only if everything in it holds.",
      arguments: [Argument("file", .path, help: "The receipt.")],
      options: [
        CommandOption("id", .text, help: "Also: the receipt is about this record."),
        CommandOption(
          "checkpoint", .path, placeholder: "FILE",
          help: "Also: the ledger is the one of this trusted checkpoint."),
        CommandOption(
          "consistency", .path, placeholder: "FILE",
          help: "Where sizes differ: lethe ledger prove --from links the two."),
      ], exitCodes: [.badData, .missingInput]
    ) { arguments, console in
      let result = try verifyReceipt(arguments)
      try show(result, arguments, console) { result in
        (["valid: deletion \(result.deletion) is \(result.state)"]
          + result.checked.map { "  checked: \($0)" }
          + result.notChecked.map { "  not checked: \($0)" }).joined(separator: "\n")
      }
      return .ok
    },
    Command(
      name: "erase-salt", summary: "make a deletion's commitments unopenable for ever",
      discussion: """
        After this no receipt of the deletion can be made any more; receipts handed out keep their \
        own salt. The ledger stays provable.
        """,
      arguments: [Argument("deletion", .integer(1...Int.max), help: "The deletion's number.")],
      options: CoordinatorClient.options, exitCodes: CoordinatorClient.exitCodes
    ) { arguments, console in
      let erased: SaltErasure = try CoordinatorClient(arguments).post(
        "/v1/salts/erase", SaltErasure(deletion: UInt64(arguments.integer("deletion"))))
      try show(erased, arguments, console) { "erased the salt of deletion \($0.deletion)" }
      return .ok
    },
  ])

/// What `lethe receipt verify` found, all of it good.
private struct ReceiptCheck: Encodable {
  var valid: Bool
  var deletion: UInt64
  var state: String
  var checked: [String]
  var notChecked: [String]
}

private func verifyReceipt(_ arguments: ParsedArguments) throws -> ReceiptCheck {
  let path = arguments.string("file")
  let id = arguments.string(ifGiven: "id")
  let checkpointPath = arguments.string(ifGiven: "checkpoint")
  let checkpoint = try checkpointPath.map(readCheckpoint)
  let proof = try arguments.string(ifGiven: "consistency").map { try readProof($0) }
  let verified: VerifiedReceipt
  do {
    verified = try Receipt.verify(
      try FileSystem.read(path), id: id.map { Array($0.utf8) }, checkpoint: checkpoint,
      consistency: proof?.hashes)
  } catch let problem as ReceiptProblem {
    if case .otherID = problem {
      throw ServiceError(
        .badData, "\(path) does not open to this --id",
        try: "compare the id's spelling; without --id all the rest is checked")
    }
    throw ServiceError(
      .badData, "\(path) is not a valid receipt: \(problem.sentence)",
      try: "ask for the receipt again, and keep the file byte for byte")
  }
  var check = ReceiptCheck(
    valid: true, deletion: verified.receipt.deletion, state: verified.receipt.state.rawValue,
    checked: ["every field against the ledger's entries", "the entries against the checkpoint"],
    notChecked: [])
  if verified.idWasChecked {
    check.checked.append("the commitment opens to the id")
  } else {
    check.notChecked.append("whose record it was (--id)")
  }
  if verified.checkpointWasTrusted {
    check.checked.append("the checkpoint against the trusted one")
  } else {
    check.notChecked.append("that others see the same ledger (--checkpoint)")
  }
  return check
}

private func readProof(_ path: String, trusted: Checkpoint? = nil) throws -> VerifiedLedgerProof {
  do {
    return try LedgerProof.verify(try FileSystem.read(path), checkpoint: trusted)
  } catch let problem as LedgerProofProblem {
    throw ServiceError(
      .badData, "\(path) is not a valid proof: \(problem.sentence)", try: "ask for it again")
  }
}

func readCheckpoint(_ path: String) throws -> Checkpoint {
  do {
    return try Checkpoint(text: String(decoding: try FileSystem.read(path), as: UTF8.self))
  } catch let error as LedgerTextProblem {
    throw ServiceError(
      .badData, "\(path) is not a checkpoint: \(error.sentence)",
      try: "save one with lethe ledger checkpoint")
  }
}

let ledgerCommand = Command(
  name: "ledger", summary: "the append-only list behind receipts: its head, and proofs about it",
  verbs: [
    Command(
      name: "checkpoint", summary: "print the ledger's head, to be kept, compared and signed",
      options: CoordinatorClient.options + [
        CommandOption("output", .path, placeholder: "FILE", help: "Write it here instead.")
      ], formats: [.text],
      examples: [
        Example(
          "lethe ledger checkpoint --output head && ssh-keygen -Y sign -n lethe -f KEY head",
          "Sign the head with an operator's key.")
      ], exitCodes: CoordinatorClient.exitCodes
    ) { arguments, console in
      try write(CoordinatorClient(arguments).bytes("/v1/ledger/checkpoint"), arguments, console)
      return .ok
    },
    Command(
      name: "prove", summary: "prove that the ledger only grew, or holds an entry",
      options: CoordinatorClient.options + [
        CommandOption(
          "from", .integer(0...Int.max), placeholder: "N",
          help: "Prove that the first N entries are still the same."),
        CommandOption(
          "entry", .integer(0...Int.max), placeholder: "N", help: "Prove that entry N is in it."),
        CommandOption("output", .path, placeholder: "FILE", help: "Write it here instead."),
      ], exitCodes: CoordinatorClient.exitCodes
    ) { arguments, console in
      let query: String
      if let from = arguments.integer(ifGiven: "from") {
        query = "consistency?from=\(from)"
      } else if let entry = arguments.integer(ifGiven: "entry") {
        query = "inclusion?entry=\(entry)"
      } else {
        throw UserFacingError.usage(
          "neither --from nor --entry was given",
          try: "--from N proves growth, --entry N membership")
      }
      try write(
        CoordinatorClient(arguments).bytes("/v1/ledger/\(query)"), arguments, console)
      return .ok
    },
    Command(
      name: "verify", summary: "verify a proof from its file alone",
      arguments: [Argument("file", .path, help: "What lethe ledger prove wrote.")],
      options: [
        CommandOption(
          "checkpoint", .path, placeholder: "FILE",
          help: "Also: the proof ends at this trusted checkpoint.")
      ], exitCodes: [.badData, .missingInput]
    ) { arguments, console in
      let path = arguments.string("file")
      let proof = try readProof(
        path, trusted: try arguments.string(ifGiven: "checkpoint").map(readCheckpoint))
      try console.print("valid: up to a ledger of \(proof.checkpoint.size) entries")
      return .ok
    },
  ])

private func write(_ bytes: [UInt8], _ arguments: ParsedArguments, _ console: Console) throws {
  if let path = arguments.string(ifGiven: "output") {
    try writing(path) { try FileSystem.replace(path, with: bytes) }
  } else {
    try console.print(String(decoding: bytes.dropLast(), as: UTF8.self))
  }
}

// MARK: - Why

let whyCommand = Command(
  name: "why", summary: "why a block is stale or was retrained, field by field of its key",
  arguments: [
    Argument("block", help: "shard/sequence/stage, or the block's key or its first digits.")
  ],
  options: CoordinatorClient.options, exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  let history: BlockHistory = try CoordinatorClient(arguments).get(
    "/v1/why?block=\(arguments.string("block").percentEncoded)")
  try show(history, arguments, console) { history in
    var lines = [
      "block \(history.shard)/\(history.sequence)/\(history.stage) is \(history.state)"
        + (history.reason.map { ": \($0.visible)" } ?? "")
    ]
    if history.losses.isEmpty { lines.append("it was never taken out of service") }
    for loss in history.losses {
      lines.append("\(loss.at) lost to \(loss.cause)")
      for field in loss.fields {
        lines.append(
          "  \(field.changed ? "≠" : "=") \(field.name)"
            + (field.detail.map { ": \($0.visible)" } ?? "")
        )
      }
    }
    return lines.joined(separator: "\n")
  }
  return .ok
}

// MARK: - Backup and restore

let backupCommand = Command(
  name: "backup", summary: "write everything a restore needs into a new folder",
  discussion: """
    The coordinator writes it while it goes on working; records deleted by now are not in it. A \
    backup holds personal data and the keys of the run: treat it like the run itself, and destroy \
    it by your own schedule. Restoring one replays every deletion that is known since.
    """,
  options: CoordinatorClient.options + [
    CommandOption(
      "output", .path, placeholder: "DIR", required: true,
      help: "A folder that is not there yet, on the coordinator's machine.")
  ], exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  let report: BackupReport
  do {
    report = try CoordinatorClient(arguments).post(
      "/v1/backups",
      CopyRequest(path: FileSystem.canonical(absolute(arguments.string("output")))),
      timeoutSeconds: 3600)
  } catch let error as ServiceError where error.kind == .tryLater {
    // A conflict, and the folder is the only one there can be: waiting does not end it.
    throw ServiceError(.cannotWrite, error.message, try: error.hint)
  }
  try show(report, arguments, console) { report in
    """
    wrote \(report.path): \(report.records) records, \(report.files) files, \
    \(report.bytes) bytes, at journal \(report.journalSequence), ledger \(report.ledgerSize)\
    \(report.keyFile.map { "\nkeep a copy of \($0) apart from backups: it proves them" } ?? "")
    """
  }
  return .ok
}

private func lossText(_ report: Restoration.Report) -> String {
  switch (report.ledgerEntriesLost, report.source) {
  case (let lost?, "journal"): "\(lost) lost"
  case (let lost?, _): "\(lost) lost up to the newest checkpoint; what came after it is unknown"
  case (nil, _): "and what was deleted after the backup is unknown: delete again whatever was"
  }
}

let restoreCommand = Command(
  name: "restore", summary: "bring a run back from a backup, without a deleted record",
  discussion: """
    Works on the run's directory while no coordinator runs. A journal that survived there, or in \
    the folders coordinator.journal names, is the newer truth and stays; the backup then only \
    supplies records and blocks, without those deleted since. Give every checkpoint you have kept: \
    a restore that would move behind one is refused, with the loss spelled out.
    """,
  options: [
    CommandOption(
      "run", .path, placeholder: "FILE", default: "lethe.json5", environment: "LETHE_RUN",
      help: "The run file."),
    CommandOption("from", .path, placeholder: "DIR", required: true, help: "The backup."),
    CommandOption(
      "checkpoint", .path, placeholder: "FILE", repeats: true,
      help: "A head of this run's ledger that somebody has seen."),
    CommandOption(
      "backup-key", .path, placeholder: "FILE",
      help: "A copy of the run's backup.key; default: the one in its directory."),
    CommandOption(
      "accept-unknown", .flag,
      help: """
        Restore although nobody can know who wrote the backup, or what was deleted after it. Keys \
        of a backup that the run's backup.key does not prove stay out.
        """),
    CommandOption(
      "accept-loss", .integer(0...Int.max), placeholder: "N", default: "0",
      help: "Restore although up to N ledger entries are lost by it."),
  ], exitCodes: [.configuration, .badData, .missingInput, .unavailable]
) { arguments, console in
  let path = arguments.string("run")
  let restoration = try Restoration(try readRunFile(path), base: folder(of: path))
  let report = try restoration.restore(
    from: arguments.string("from"),
    Restoration.Terms(
      checkpoints: try arguments.strings("checkpoint").map(readCheckpoint),
      acceptedLoss: UInt64(arguments.integer("accept-loss")),
      backupKeyPath: arguments.string(ifGiven: "backup-key"),
      acceptsUnknown: arguments.flag("accept-unknown")))
  try show(report, arguments, console) { report in
    """
    restored \(report.directory) by its \(report.source): \(report.records) records, \
    \(report.recordsLeftOut) left out as deleted since
    \(report.blocks) blocks, \(report.blocksToRetrain) of them to be retrained; ledger of \
    \(report.ledgerSize) entries, \(lossText(report))\
    \(report.keysLeftOut > 0 ? "\nkeys left out, as nobody vouches for them: "
      + "\(report.keysLeftOut); make new ones with lethe key new" : "")
    """
  }
  return .ok
}
