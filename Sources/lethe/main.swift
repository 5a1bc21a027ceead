import CommandLineKit
import Foundation
import ServiceSupport
import SystemIO

// The one executable: hands its words to the tool and ends with the tool's code.
SystemProcess.ignoreBrokenPipes()
SystemProcess.preventCoreDumps()
let environment = ProcessInfo.processInfo.environment
let code = letheTool.run(
  Array(CommandLine.arguments.dropFirst()), environment: environment,
  console: Console.standard(environment: environment))
exit(code.rawValue)
