import SystemIO

/// Lines for operators on standard error; never ids, texts or labels.
package struct Log: Sendable {
  private let component: String

  package init(component: String) {
    self.component = component
  }

  /// Writes time, component, the event's one word and what a person should know of it.
  package func write(_ event: String, _ detail: String = "") {
    let time = Timestamp.text(SystemClock.wallMilliseconds)
    SystemProcess.writeError("\(time) \(component) \(event)\(detail.isEmpty ? "" : " ")\(detail)")
  }
}
