import CommandLineKit
import CoordinatorService
import ServiceSupport
import SystemIO

/// Every verb of the one executable.
let letheTool: CommandLineTool = CommandLineTool(
  name: "lethe", version: ProductVersion.text,
  summary: "Train models that can forget.",
  discussion: """
    Lethe trains many small LoRA blocks over one frozen transformer, so that any training record \
    can be removed exactly: at once, by no longer serving the blocks that saw it, and then by \
    retraining only those.
    """,
  commands: [
    initCommand, upCommand, coordinatorCommand, workerCommand, keyCommand, trainCommand,
    statusCommand, dashboardCommand, deleteCommand, deletionsCommand, receiptCommand, ledgerCommand,
    lineageCommand, whyCommand, predictCommand, evaluateCommand, reportCommand, exportCommand,
    verifyCommand, doctorCommand,
    exportsCommand, backupCommand, restoreCommand, tombstonesCommand, journalCommand,
    trainBlockCommand, benchCommand,
    simulateCommand, demoCommand, completionsCommand, manualCommand,
  ],
  explain: explain)

@Sendable private func explain(_ error: any Error) -> UserFacingError? {
  switch error {
  case let error as ServiceError:
    UserFacingError(error.message, try: error.hint ?? "", exitCode: error.kind.exitCode)
  case let error as RunFileError:
    UserFacingError(
      "the run file: \(error.message)", try: error.hint, exitCode: .configuration)
  case let error as SystemCallError:
    UserFacingError(
      "\(error)", try: error.isDiskFull ? "free space and try again" : "",
      exitCode: error.isDiskFull ? .cannotWrite : error.isNotFound ? .missingInput : .failure)
  default: nil
  }
}

extension ServiceError.Kind {
  var exitCode: ExitCode {
    switch self {
    case .failure: .failure
    case .usage: .usage
    case .badData: .badData
    case .missingInput: .missingInput
    case .unavailable: .unavailable
    case .cannotWrite: .cannotWrite
    case .tryLater: .tryLater
    case .configuration: .configuration
    }
  }
}
