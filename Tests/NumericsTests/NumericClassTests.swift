import Hashing
import Numerics
import Testing

@Suite("Numeric class and environment")
struct NumericClassTests {
  @Test("is the same on every look and runs one thread")
  func stable() {
    let first = NumericClass.current()
    #expect(first == NumericClass.current())
    #expect(first.threadCount == 1)
    #expect(first.identifier.contains(first.probe.hex))
    #expect(first.identifier.contains("OpenBLAS"))
    #expect(!first.identifier.contains("\n"))
  }

  @Test("asks for what is missing and for nothing else")
  func environment() {
    let required = NumericEnvironment.required
    #expect(required.map(\.name) == required.map(\.name).sorted())
    var environment = Dictionary(uniqueKeysWithValues: required.map { ($0.name, $0.value) })
    environment["PATH"] = "/bin"
    #expect(NumericEnvironment.missing(from: environment).isEmpty)
    environment["OPENBLAS_NUM_THREADS"] = "2"
    #expect(
      NumericEnvironment.missing(from: environment).map(\.name) == ["OPENBLAS_NUM_THREADS"])
  }
}
