import Dispatch
import Glibc
import SystemIO

/// Calls back on SIGTERM, SIGINT and SIGHUP from the moment it exists; before that, they end the
/// process.
///
/// A terminal that goes away hangs up: whoever has started others must end them then too. A process
/// that was started to outlive it (`nohup`) ignores that signal, and so does this.
///
/// There is no moment in between in which a signal is lost: they are never set to be ignored, and
/// `init` returns only once the sources watch.
final class TerminationSignals {
  private let sources: [any DispatchSourceSignal]

  init(_ received: @escaping @Sendable (CInt) -> Void) {
    let watching = DispatchGroup()
    let numbers = [SIGTERM, SIGINT] + (SystemProcess.ignoresHangUp ? [] : [SIGHUP])
    sources = numbers.map { number in
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
