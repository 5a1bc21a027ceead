import CommandLineKit
import SimulationKit
import SystemIO

/// What a decision costs, by the number of blocks.
let scaleCommand = Command(
  name: "scale", summary: "measure what a scheduling decision costs, and run a fleet of thousands",
  discussion: """
    The shipped coordinator alone, without wire and disk. The cost of a lease with its completion \
    is given for growing numbers of blocks with 500 workers, and how long the look at all shards \
    takes that status and predictions begin with: the first one, and one after 100 blocks more. \
    Then one large fleet trains all.
    """,
  options: [
    CommandOption("fleet", .flag, help: "Also 10,000 workers on 1,000 × 16 × 8 blocks.")
  ]
) { arguments, console in
  var table = TextTable([
    .right("blocks"), .right("decisions"), .right("µs each, median"), .right("against the first"),
    .right("first look ms"), .right("later look ms"),
  ])
  var first: Double?
  // Equal shards, ever more of them: 16 slices, 16 sequences, 256 blocks a shard.
  for shards in [4, 40, 400, 4_000] {
    let shape = FleetAtScale.Shape(shards: shards, slices: 16, sequences: 16, workers: 500)
    var fleet = FleetAtScale(shape, seed: 1)
    let batch = 100
    var times: [Double] = []
    while !fleet.isDone, times.count < 200 {
      let before = fleet.committedCount
      let start = SystemClock.seconds
      fleet.advance(blocks: batch)
      let done = fleet.committedCount - before
      if done > 0 { times.append((SystemClock.seconds - start) / Double(done)) }
    }
    times.sort()
    let firstLook = seconds { _ = fleet.report() }
    fleet.advance(blocks: batch)
    let laterLook = seconds { _ = fleet.report() }
    let median = times[times.count / 2] * 1e6
    first = first ?? median
    table.append([
      "\(shape.blockCount)", "\(fleet.committedCount)", Humanized.fixed(median, digits: 1),
      Humanized.fixed(median / (first ?? median), digits: 2),
      Humanized.fixed(1_000 * firstLook, digits: 2), Humanized.fixed(1_000 * laterLook, digits: 2),
    ])
  }
  try console.print(table.text)
  guard arguments.flag("fleet") else { return .ok }
  let shape = FleetAtScale.Shape(shards: 1_000, slices: 16, sequences: 8, workers: 10_000)
  let start = SystemClock.seconds
  var fleet = FleetAtScale(shape, seed: 2)
  let progress = console.progress("blocks", total: shape.blockCount, unit: "blocks")
  while !fleet.isDone {
    let before = fleet.committedCount
    fleet.advance(blocks: 1_000)
    progress.advance(by: fleet.committedCount - before)
  }
  progress.finish()
  try console.print(
    "\(shape.workers) workers trained \(fleet.committedCount) blocks in "
      + "\(Humanized.fixed(fleet.virtualSeconds, digits: 0)) virtual s and "
      + "\(Humanized.fixed(SystemClock.seconds - start, digits: 1)) real s; "
      + "\(fleet.lossCount) workers were lost on the way")
  return .ok
}

private func seconds(_ body: () -> Void) -> Double {
  let start = SystemClock.seconds
  body()
  return SystemClock.seconds - start
}
