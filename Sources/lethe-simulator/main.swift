import CommandLineKit
import Foundation
import SystemIO

let tool = CommandLineTool(
  name: "lethe-simulator", version: "0.1.0",
  summary: "Run fleets in virtual time, with everything that can go wrong.",
  commands: [seedsCommand, scaleCommand])

SystemProcess.ignoreBrokenPipes()
let environment = ProcessInfo.processInfo.environment
let code = tool.run(
  Array(CommandLine.arguments.dropFirst()), environment: environment,
  console: .standard(environment: environment))
exit(code.rawValue)
