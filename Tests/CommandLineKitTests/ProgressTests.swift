import CommandLineKit
import Synchronization
import Testing

@Suite("Progress") struct ProgressTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let columns: Int?
    var total: Int? = 2200
    let completed: Int
    let seconds: Double
    var alreadyCompleted = 0
    let shows: String
    let because: String
    var testDescription: String { because }
  }

  static let rows = [
    Row(
      columns: 90, completed: 1100, seconds: 10,
      shows:
        "\r\u{1B}[KTraining  [#############-------------]   50%  1,100/2,200 steps  110 steps/s  "
        + "10.0 s left", because: "the bar takes what room is left"),
    Row(
      columns: 200, completed: 2200, seconds: 10,
      shows: "\r\u{1B}[KTraining  [##############################]  100%  2,200/2,200 steps  "
        + "220 steps/s", because: "at most thirty cells; nothing left when done"),
    Row(
      columns: 60, completed: 1100, seconds: 10,
      shows: "\r\u{1B}[KTraining   50%  1,100/2,200 steps  110 steps/s  10.0 s left",
      because: "no room for a bar"),
    Row(
      columns: 40, completed: 1100, seconds: 10,
      shows: "\r\u{1B}[KTraining   50%  1,100/2,200 steps", because: "parts go from the right"),
    Row(columns: 5, completed: 1100, seconds: 10, shows: "\r\u{1B}[KTrai", because: "hardly room"),
    Row(
      columns: nil, completed: 1100, seconds: 10,
      shows: "Training   50%  1,100/2,200 steps  110 steps/s  10.0 s left\n",
      because: "a plain line in a log"),
    Row(
      columns: nil, total: nil, completed: 1100, seconds: 10,
      shows: "Training  1,100 steps  110 steps/s\n", because: "no total, no share, no time left"),
    Row(
      columns: nil, total: 0, completed: 0, seconds: 10, shows: "Training  0 steps\n",
      because: "nothing to do divides by nothing"),
    Row(
      columns: nil, completed: 1100, seconds: 10, alreadyCompleted: 1000,
      shows: "Training   50%  1,100/2,200 steps  10.0 steps/s  1 min 50 s left\n",
      because: "resumed work is no speed"),
    Row(
      columns: nil, completed: 3000, seconds: 10,
      shows: "Training  100%  3,000/2,200 steps  300 steps/s\n", because: "more than promised"),
  ]

  @Test("draws a line that fits", arguments: rows)
  func line(_ row: Row) {
    var meter = ProgressMeter(
      label: "Training", total: row.total, unit: "steps", columnCount: row.columns,
      startedAt: 100, alreadyCompleted: row.alreadyCompleted)
    let shown = meter.update(completed: row.completed, at: 100 + row.seconds)
    #expect(shown == row.shows)
    if let columns = row.columns, let shown {
      #expect(columnCount(of: shown) - columnCount(of: "\r\u{1B}[K") < columns)
    }
  }

  @Test(
    "redraws ten times a second on a terminal, every five seconds elsewhere",
    arguments: [(80, 99), (nil, 2)] as [(Int?, Int)])
  func pace(columns: Int?, count: Int) {
    var meter = ProgressMeter(
      label: "x", total: 1000, unit: "steps", columnCount: columns, startedAt: 0)
    // Steps of 1/128 s are exact: a redraw every 13 of them, a line every 640.
    let shown = (1...1280).compactMap { meter.update(completed: $0, at: Double($0) / 128) }
    #expect(shown.count == count)
  }

  @Test("notes stand above the bar, and the end is one line")
  func reporter() {
    let sink = MemorySink()
    let time = Mutex(0.0)
    let reporter = ProgressReporter(
      meter: ProgressMeter(label: "x", total: 4, unit: "steps", columnCount: 24, startedAt: 0),
      sink: sink, now: { time.withLock { $0 } })
    time.withLock { $0 = 2 }
    reporter.advance()
    reporter.note("a worker left")
    reporter.update(completed: 4)
    reporter.finish()
    let clear = "\r\u{1B}[K"
    #expect(
      sink.text == "\(clear)x   25%  1/4 steps\(clear)a worker left\n\(clear)x   25%  1/4 steps"
        + "\(clear)x: 4 steps in 2.0 s (2.00 steps/s)\n")
  }
}
