import CoordinatorAPI
import Testing

/// Held to the text format by examples here, and to Prometheus itself by ops/check-metrics.py.
@Suite struct ExpositionTests {
  @Test("a family has its help and type once, and escapes what labels hold")
  func families() {
    var exposition = Exposition()
    exposition.add("lethe_records", .gauge, "Live records.", 3)
    exposition.add(
      "lethe_blocks", .gauge, "Blocks.", by: "state", [("a \"b\"\\\n", 0.5), ("c", 1e6)])
    #expect(
      exposition.text == """
        # HELP lethe_records Live records.
        # TYPE lethe_records gauge
        lethe_records 3
        # HELP lethe_blocks Blocks.
        # TYPE lethe_blocks gauge
        lethe_blocks{state="a \\"b\\"\\\\\\n"} 0.5
        lethe_blocks{state="c"} 1000000

        """)
  }

  @Test("buckets count everything up to their bound, and the last everything")
  func histograms() {
    var histogram = Histogram()
    for seconds in [0.0005, 0.001, 0.002, 0.2, 40] { histogram.add(seconds: seconds) }
    #expect(histogram.cumulativeCounts == [2, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4])
    #expect(histogram.count == 5)
    var exposition = Exposition()
    exposition.add("lethe_wait_seconds", "Waits.", by: "kind", [("read", histogram)])
    let lines = exposition.text.split(separator: "\n")
    #expect(lines[1] == "# TYPE lethe_wait_seconds histogram")
    #expect(lines[2] == #"lethe_wait_seconds_bucket{kind="read",le="0.001"} 2"#)
    #expect(lines.contains(#"lethe_wait_seconds_bucket{kind="read",le="+Inf"} 5"#))
    #expect(lines.last == #"lethe_wait_seconds_count{kind="read"} 5"#)
  }

  @Test("a histogram alone has no empty label")
  func plainHistogram() {
    var histogram = Histogram(bounds: [1, 60])
    for seconds in [0.5, 30, 90] { histogram.add(seconds: seconds) }
    var exposition = Exposition()
    exposition.add("lethe_work_seconds", "Works.", histogram)
    #expect(
      exposition.text == """
        # HELP lethe_work_seconds Works.
        # TYPE lethe_work_seconds histogram
        lethe_work_seconds_bucket{le="1"} 1
        lethe_work_seconds_bucket{le="60"} 2
        lethe_work_seconds_bucket{le="+Inf"} 3
        lethe_work_seconds_sum 120.5
        lethe_work_seconds_count 3

        """)
  }
}
