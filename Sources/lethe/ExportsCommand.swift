import CommandLineKit
import CoordinatorAPI
import ServiceSupport
import SystemIO

/// What the run knows of outside its directory, and an operator's word about it.
let exportsCommand = Command(
  name: "exports", summary: "list exports and backups that the run knows of, and forget one",
  verbs: [
    Command(
      name: "list", summary: "show where exports and backups lie, and what a purge makes of them",
      discussion: """
        An export that holds a block which saw a deleted record is removed with the purge. One \
        that cannot be reached or is not as it was written is tried again for as long as it is \
        listed, and the receipts of deletions meanwhile say that exports are out of reach (level \
        E0).
        """,
      options: CoordinatorClient.options, exitCodes: CoordinatorClient.exitCodes
    ) { arguments, console in
      let list: CopyList = try CoordinatorClient(arguments).get("/v1/exports")
      try show(list, arguments, console) { list in
        guard !list.copies.isEmpty else { return "no exports or backups" }
        var table = TextTable([
          .left("kind"), .left("path"), .left("written"), .left("state"), .left("reason"),
        ])
        for copy in list.copies {
          table.append([copy.kind, copy.path, copy.at, copy.state, copy.reason ?? "-"])
        }
        return table.text
      }
      return .ok
    },
    Command(
      name: "forget", summary: "say that nothing is left of an export or backup",
      discussion: """
        For one that was moved, removed by hand or is on a disk that is gone: after this the run \
        does not look for it any more, and receipts no longer name it. Whoever says so answers for \
        it: what is still there is then known to nobody.
        """,
      arguments: [Argument("path", help: "As lethe exports list shows it.")],
      options: CoordinatorClient.options,
      examples: [Example("lethe exports forget /srv/exports/shard0", "It was removed by hand.")],
      exitCodes: CoordinatorClient.exitCodes
    ) { arguments, console in
      let forgotten: CopyPath = try CoordinatorClient(arguments).post(
        "/v1/exports/forget", CopyPath(path: arguments.string("path")))
      try show(forgotten, arguments, console) { "forgot \($0.path)" }
      return .ok
    },
  ])
