import Hashing
import Testing

@Suite("Self-test") struct SelfTestTests {
  @Test("finds nothing wrong here")
  func right() {
    #expect(SelfTest.failingPrimitive() == nil)
  }

  @Test("names the primitive whose answer is wrong", arguments: SelfTest.answers.indices)
  func wrong(index: Int) {
    var answers = SelfTest.answers
    let primitive = answers[index].primitive
    answers[index] = SelfTest.Answer(primitive, answers[index].expected, computed: { "wrong" })
    #expect(SelfTest.failingPrimitive(of: answers) == primitive)
  }

  @Test("has an answer for every primitive")
  func complete() {
    for primitive in ["SHA-256", "HMAC-SHA-256", "HKDF-SHA-256", "CRC-32C"] {
      #expect(SelfTest.answers.contains { $0.primitive == primitive })
    }
  }
}
