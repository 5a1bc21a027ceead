import CommandLineKit
import Foundation
import Hashing
import ServiceSupport
import SystemIO

// The one executable: hands its words to the tool and ends with the tool's code.
SystemProcess.ignoreBrokenPipes()
SystemProcess.admitTermination()
// Keys, receipts and the journal rest on these: a build that computes them wrongly must not start.
if let primitive = SelfTest.failingPrimitive() {
  SystemProcess.writeError("lethe: error: \(primitive) gives wrong results on this machine")
  exit(1)
}
SystemProcess.preventCoreDumps()
let environment = ProcessInfo.processInfo.environment
let code = letheTool.run(
  Array(CommandLine.arguments.dropFirst()), environment: environment,
  console: Console.standard(environment: environment))
exit(code.rawValue)
