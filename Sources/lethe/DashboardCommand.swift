import CommandLineKit

/// `lethe dashboard`: the address of the coordinator's page, with what it takes to enter.
let dashboardCommand = Command(
  name: "dashboard", summary: "print the address of the run's page for a browser",
  discussion: """
    The page shows the blocks, workers, queue and deletions as they change, deletes records and \
    shows lineage. The address brings the token along behind a #, which a browser keeps to itself: \
    show it to nobody who may not delete. With --token-file of a reader's key, the page shows and \
    changes nothing.
    """,
  options: CoordinatorClient.options,
  examples: [Example("lethe dashboard --run lethe.json5", "Open what it prints.")],
  exitCodes: CoordinatorClient.exitCodes
) { arguments, console in
  let client = try CoordinatorClient(arguments)
  // A page that nobody answers is no use.
  let _: RunAnswer = try client.get("/v1/runs")
  try show(DashboardAddress(url: client.pageAddress), arguments, console) { $0.url }
  return .ok
}

private struct DashboardAddress: Encodable {
  var url: String
}

/// Any answer will do.
private struct RunAnswer: Decodable {}
