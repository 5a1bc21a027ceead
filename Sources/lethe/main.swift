import CommandLineKit
import Foundation
import ServiceSupport
import SystemIO

SystemProcess.ignoreBrokenPipes()
let environment = ProcessInfo.processInfo.environment
let code = letheTool.run(
  Array(CommandLine.arguments.dropFirst()), environment: environment,
  console: Console.standard(environment: environment))
exit(code.rawValue)
