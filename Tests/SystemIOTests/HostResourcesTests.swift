import SystemIO
import Testing

@Suite("Host resources") struct HostResourcesTests {
  private static let memory = "MemTotal: 16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n"

  private func group(_ processor: String?, _ limit: String?, _ use: String?)
    -> HostResources.ControlGroup
  {
    HostResources.ControlGroup(processorLimit: processor, memoryLimit: limit, memoryUse: use)
  }

  @Test("a machine without control groups gives its cores and what is available")
  func plain() {
    let host = HostResources(coreCount: 4, memory: Self.memory, groups: [])
    #expect(host.coreCount == 4 && host.availableByteCount == 8 << 20)
  }

  @Test("the narrowest control group counts, and none takes away the last core")
  func groups() {
    let groups = [
      group("max 100000\n", "max\n", "5\n"), group("250000 100000\n", "4194304\n", "1048576\n"),
      group(nil, nil, nil),
    ]
    let host = HostResources(coreCount: 4, memory: Self.memory, groups: groups)
    #expect(host.coreCount == 2 && host.availableByteCount == 3 << 20)
    let narrow = HostResources(
      coreCount: 4, memory: Self.memory, groups: [group("50000 100000", "1", "2")])
    #expect(narrow.coreCount == 1 && narrow.availableByteCount == 0)
  }

  @Test(
    "processes are as many as cores and memory allow",
    arguments: [(1 << 20, 4), (3 << 20, 2), (9 << 20, 1), (0, 4)])
  func count(byteCount: Int, expected: Int) {
    let host = HostResources(coreCount: 4, memory: Self.memory, groups: [])
    #expect(host.processCount(needing: byteCount) == expected)
  }

  @Test("this machine has a core and memory")
  func current() {
    #expect(HostResources.current.coreCount >= 1 && HostResources.current.availableByteCount > 0)
  }
}
