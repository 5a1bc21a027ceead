import Dispatch
import Glibc

/// Calls back on SIGTERM and SIGINT from the moment it exists; before that, they end the process.
///
/// There is no moment in between in which a signal is lost: they are never set to be ignored, and
/// `init` returns only once the sources watch.
final class TerminationSignals {
  private let sources: [any DispatchSourceSignal]

  init(_ received: @escaping @Sendable (CInt) -> Void) {
    let watching = DispatchGroup()
    sources = [SIGTERM, SIGINT].map { number in
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { received(number) }
      watching.enter()
      source.setRegistrationHandler { watching.leave() }
      source.resume()
      return source
    }
    watching.wait()
  }

  func cancel() {
    for source in sources { source.cancel() }
  }
}
