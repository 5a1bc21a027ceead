import Testing
import WorkerService

@Suite("Pauses between attempts") struct BackoffTests {
  @Test("double from 0.2 to 15 seconds, and are spread over half of it")
  func pauses() {
    var late = Backoff()
    var early = Backoff()
    let expected = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15, 15, 15]
    for pause in expected {
      #expect(abs(late.next(jitter: 255) - pause) < 1e-9)
      #expect(abs(early.next(jitter: 0) - pause / 2) < 1e-9)
    }
  }
}
