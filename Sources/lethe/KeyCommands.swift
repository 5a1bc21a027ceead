import CommandLineKit
import CoordinatorService
import ServiceSupport
import SystemIO
import WireFormat

private let runOption = CommandOption(
  "run", .path, placeholder: "FILE", default: "lethe.json5", environment: "LETHE_RUN",
  help: "The run file; keys are in its directory.")

let keyCommand = Command(
  name: "key", summary: "make, list and revoke the keys of workers, people and programs",
  verbs: [
    Command(
      name: "new", summary: "make a key that the run's coordinator knows at once",
      discussion: """
        A key is one line with a secret: give it to its holder over a safe way and to nobody else. \
        Workers prove that they have it and never send it. Over HTTP a key \
        of another role is the token; --token-file takes its file.
        """,
      options: [
        CommandOption("name", .text, required: true, help: "Whose it is, for logs and revoking."),
        CommandOption(
          "role", .choice(KeyRole.allCases.map(\.rawValue)), default: KeyRole.worker.rawValue,
          help: """
            What it is good for: on the wire worker trains and serves, serve serves; over HTTP \
            operator does everything, reader looks, predictor classifies, auditor reads lineage \
            and receipts, deleter deletes.
            """),
        CommandOption(
          "output", .path, placeholder: "FILE",
          help: "Write the key here, with mode 0600; default: standard output."),
        runOption,
      ],
      examples: [
        Example(
          "lethe key new --name gpu-7 --role worker --output gpu-7.key",
          "A key for the workers of one machine.")
      ], exitCodes: [.configuration, .missingInput, .cannotWrite]
    ) { arguments, console in
      let output = arguments.string(ifGiven: "output")
      if let output, FileSystem.exists(output) {
        throw ServiceError(
          .cannotWrite, "\(output) is there already", try: "choose another --output")
      }
      guard let role = KeyRole(rawValue: arguments.string("role")) else {
        throw UserFacingError.usage("--role is no role")
      }
      let key = try keyStore(arguments).add(name: arguments.string("name"), role: role) { key in
        if let output { try writing(output) { try KeyFile.write(key, to: output) } }
      }
      let made = MadeKey(key, line: output == nil ? String(key.line.dropLast()) : nil)
      try show(made, arguments, console) { $0.line ?? "wrote the key \($0.id) to \(output ?? "")" }
      return .ok
    },
    Command(
      name: "list", summary: "show whose keys the run knows, without their secrets",
      options: [runOption], exitCodes: [.configuration, .missingInput]
    ) { arguments, console in
      let list = KeyList(keys: try keyStore(arguments).all().map { MadeKey($0, line: nil) })
      try show(list, arguments, console) { list in
        var table = TextTable([.left("name"), .left("role"), .left("id")])
        for key in list.keys { table.append([key.name, key.role, key.id]) }
        return table.text
      }
      return .ok
    },
    Command(
      name: "revoke", summary: "forget a key; its connections end within a second",
      arguments: [Argument("key", help: "The key's id or name.")],
      options: [runOption], exitCodes: [.badData, .configuration, .missingInput]
    ) { arguments, console in
      let text = arguments.string("key")
      guard let id = try keyStore(arguments).revoke(text) else {
        throw ServiceError(
          .badData, "there is no key \(text)", try: "lethe key list shows them all")
      }
      try show(RevokedKey(revoked: id.hex), arguments, console) { "revoked \($0.revoked)" }
      return .ok
    },
  ])

private struct MadeKey: Encodable {
  var id: String
  var name: String
  var role: String
  /// The key itself, where nobody else is to write it down.
  var line: String?

  init(_ key: PeerKey, line: String?) {
    id = key.id.hex
    name = key.name
    role = key.role.rawValue
    self.line = line
  }
}

private struct KeyList: Encodable {
  var keys: [MadeKey]
}

private struct RevokedKey: Encodable {
  var revoked: String
}

private func keyStore(_ arguments: ParsedArguments) throws -> KeyStore {
  let path = arguments.string("run")
  let file = try readRunFile(path)
  return try KeyStore(resolve(file.coordinator.directory, base: folder(of: path)))
}
