/// What a process of `lethe` ends with, so that scripts and service managers can decide without
/// reading text.
///
/// | code | case             | when                                                           |
/// |------|------------------|----------------------------------------------------------------|
/// | 0    | `ok`             | done                                                           |
/// | 1    | `failure`        | tried and failed; the message says why                         |
/// | 2    | `changesPlanned` | a dry run found something to do; nothing was changed           |
/// | 64   | `usage`          | unknown verb or option, missing or malformed value             |
/// | 65   | `badData`        | an input was read and is not what it should be                 |
/// | 66   | `missingInput`   | an input file or folder is not there or cannot be opened       |
/// | 69   | `unavailable`    | a needed process does not answer: no coordinator, no worker    |
/// | 73   | `cannotWrite`    | an output cannot be created or written: full disk, no permission |
/// | 75   | `tryLater`       | refused for now; the same command may succeed later            |
/// | 78   | `configuration`  | a run file, key or variable is wrong; starting again is no help |
///
/// 64 to 78 carry the meaning of BSD's `sysexits.h`; 2 is Terraform's detailed exit code.
package enum ExitCode: Int32, CaseIterable, Sendable {
  case ok = 0
  case failure = 1
  case changesPlanned = 2
  case usage = 64
  case badData = 65
  case missingInput = 66
  case unavailable = 69
  case cannotWrite = 73
  case tryLater = 75
  case configuration = 78

  /// Those that any verb may end with, whether it names them or not: each writes at least to
  /// standard output.
  static let ofEveryVerb: Set<ExitCode> = [.ok, .failure, .usage, .cannotWrite]

  /// The table's right-hand column, for `help exit-codes`.
  package var meaning: String {
    switch self {
    case .ok: "done"
    case .failure: "tried and failed; the message says why"
    case .changesPlanned: "a dry run found something to do; nothing was changed"
    case .usage: "unknown verb or option, missing or malformed value"
    case .badData: "an input was read and is not what it should be"
    case .missingInput: "an input file or folder is not there or cannot be opened"
    case .unavailable: "a needed process does not answer: no coordinator, no worker"
    case .cannotWrite: "an output cannot be created or written: full disk, no permission"
    case .tryLater: "refused for now; the same command may succeed later"
    case .configuration:
      "a run file, key or variable is wrong; starting again is no help"
    }
  }
}
