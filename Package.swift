// swift-tools-version: 6.2
import PackageDescription

// The layers, lowest first. A target may import only what stands above it in this file, so the
// manifest is the architecture's diagram and a new arrow is a design change.

let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

// Kernels are written as plain loops for the vectoriser: no overflow checks, and AVX2 where the
// host is x86-64. Separate multiplies and adds give the same bits at every vector width, so this
// choice is not part of the numeric class.
#if arch(x86_64)
  let vectorised = strict + [.unsafeFlags(["-Ounchecked", "-Xcc", "-march=x86-64-v3"])]
#else
  let vectorised = strict + [.unsafeFlags(["-Ounchecked"])]
#endif

let package = Package(
  name: "lethe",
  targets: [
    // Core: pure values; no clock, socket, file or unseeded random number.
    .target(name: "ByteCoding", swiftSettings: strict),
    .target(name: "Hashing", dependencies: ["ByteCoding"], swiftSettings: vectorised),
    .target(name: "Unlearning", dependencies: ["Hashing", "ByteCoding"], swiftSettings: strict),
    .target(name: "Ledger", dependencies: ["Hashing"], swiftSettings: strict),
    .target(name: "Tokenization", dependencies: ["ByteCoding"], swiftSettings: strict),
    .target(
      name: "Datasets", dependencies: ["Unlearning", "Hashing", "ByteCoding"],
      swiftSettings: strict),
    .target(
      name: "CoordinatorCore", dependencies: ["Ledger", "Unlearning", "Hashing", "ByteCoding"],
      swiftSettings: strict),
    .target(
      name: "Forecast", dependencies: ["CoordinatorCore", "Unlearning", "Hashing"],
      swiftSettings: strict),
    .target(
      name: "JournalFormat", dependencies: ["Hashing", "ByteCoding"], swiftSettings: strict),
    .target(
      name: "WireFormat", dependencies: ["CoordinatorCore", "Unlearning", "Hashing", "ByteCoding"],
      swiftSettings: strict),
    .target(
      name: "WorkerCore", dependencies: ["WireFormat", "CoordinatorCore", "Unlearning", "Hashing"],
      swiftSettings: strict),
    .target(
      name: "SimulationKit",
      dependencies: [
        "WorkerCore", "WireFormat", "JournalFormat", "CoordinatorCore", "Unlearning", "Hashing",
        "ByteCoding",
      ],
      swiftSettings: strict),
    .target(
      name: "ModelFormats", dependencies: ["Unlearning", "ByteCoding"], swiftSettings: strict),

    // Numeric: arithmetic on memory; no files, no sockets.
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .target(name: "Numerics", dependencies: ["COpenBLAS", "Hashing"], swiftSettings: vectorised),
    .target(
      name: "Training",
      dependencies: [
        "Numerics", "ModelFormats", "Tokenization", "Unlearning", "Hashing", "ByteCoding",
      ],
      swiftSettings: vectorised),

    .target(
      name: "Reporting", dependencies: ["CommandLineKit"], swiftSettings: strict),
    .target(
      name: "Evaluation", dependencies: ["Numerics", "Unlearning", "Hashing"],
      swiftSettings: strict),

    // Shell: performs what the core decides; only SystemIO touches the kernel.
    .systemLibrary(name: "CSystem"),
    .target(name: "SystemIO", dependencies: ["CSystem"], swiftSettings: strict),
    .target(
      name: "Storage",
      dependencies: [
        "CoordinatorCore", "JournalFormat", "Datasets", "Unlearning", "Hashing", "ByteCoding",
        "SystemIO",
      ],
      swiftSettings: strict),
    .target(name: "HTTP", dependencies: ["SystemIO"], swiftSettings: strict),
    .target(
      name: "ServiceSupport",
      dependencies: [
        "ModelFormats", "Datasets", "WireFormat", "Ledger", "Unlearning", "Hashing", "ByteCoding",
        "SystemIO",
      ],
      swiftSettings: strict),
    .target(name: "CoordinatorAPI", swiftSettings: strict),
    .target(
      name: "CoordinatorService",
      dependencies: [
        "CoordinatorAPI", "CoordinatorCore", "Receipts", "Ledger", "Storage", "HTTP", "WireFormat",
        "ServiceSupport", "ModelFormats", "Unlearning", "Hashing", "ByteCoding",
        "JournalFormat", "SystemIO",
      ],
      resources: [.embedInCode("Dashboard/page.html")],
      swiftSettings: strict),
    .target(
      name: "WorkerService",
      dependencies: [
        "WorkerCore", "CoordinatorCore", "Evaluation", "Training", "Numerics", "ModelFormats",
        "Tokenization", "WireFormat", "ServiceSupport", "Unlearning", "Hashing", "SystemIO",
      ],
      swiftSettings: strict),

    // Edge: people, terminals and the process itself.
    .target(name: "CommandLineKit", dependencies: ["ByteCoding"], swiftSettings: strict),
    .target(name: "Receipts", dependencies: ["Ledger", "Hashing"], swiftSettings: strict),
    .target(
      name: "Checkup",
      dependencies: [
        "CommandLineKit", "CoordinatorService", "CoordinatorCore", "HTTP", "JournalFormat",
        "ServiceSupport", "ModelFormats", "Storage", "Unlearning", "Hashing", "SystemIO",
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "lethe",
      dependencies: [
        "Checkup", "CommandLineKit", "CoordinatorAPI", "CoordinatorService", "WorkerService",
        "WorkerCore", "Training", "Numerics", "ModelFormats", "Tokenization", "Datasets", "HTTP",
        "ServiceSupport", "Receipts", "Ledger", "Storage", "JournalFormat", "WireFormat",
        "CoordinatorCore", "Forecast", "Evaluation", "Reporting", "Unlearning", "Hashing",
        "ByteCoding", "SystemIO",
      ],
      swiftSettings: strict),

    .executableTarget(
      name: "lethe-simulator",
      dependencies: ["SimulationKit", "CommandLineKit", "Hashing", "SystemIO"],
      swiftSettings: strict),
    // Every parser under hostile bytes; `ops/fuzz` builds the executable with libFuzzer.
    .target(
      name: "FuzzTargets",
      dependencies: [
        "CoordinatorAPI", "CoordinatorCore", "CoordinatorService", "Datasets", "HTTP", "Hashing",
        "JournalFormat", "Ledger", "ModelFormats", "Receipts", "SystemIO", "Tokenization",
        "Unlearning", "WireFormat",
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "lethe-fuzz", dependencies: ["FuzzTargets"], swiftSettings: strict),

    // How tests wait, in one place.
    .target(name: "TestKit", path: "Tests/TestKit", swiftSettings: strict),

    .testTarget(
      name: "ByteCodingTests", dependencies: ["ByteCoding", "Hashing"], swiftSettings: strict),
    .testTarget(
      name: "HashingTests", dependencies: ["Hashing", "ByteCoding"], swiftSettings: strict),
    .testTarget(
      name: "TokenizationTests", dependencies: ["Tokenization", "Hashing"], swiftSettings: strict),
    .testTarget(
      name: "DatasetsTests", dependencies: ["Datasets", "Unlearning", "Hashing", "ByteCoding"],
      swiftSettings: strict),
    .testTarget(
      name: "ModelFormatsTests", dependencies: ["ModelFormats", "Unlearning"],
      swiftSettings: strict),
    .testTarget(
      name: "NumericsTests", dependencies: ["Numerics", "Hashing"], swiftSettings: strict),
    .testTarget(
      name: "UnlearningTests", dependencies: ["Unlearning", "Hashing"], swiftSettings: strict),
    .testTarget(
      name: "ForecastTests", dependencies: ["Forecast", "CoordinatorCore", "Unlearning"],
      swiftSettings: strict),
    .testTarget(
      name: "CoordinatorAPITests", dependencies: ["CoordinatorAPI"], swiftSettings: strict),
    .testTarget(name: "HTTPTests", dependencies: ["HTTP"], swiftSettings: strict),
    .testTarget(
      name: "CoordinatorServiceTests",
      dependencies: [
        "CoordinatorService", "CoordinatorCore", "ModelFormats", "WireFormat", "Unlearning",
        "Hashing",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ReportingTests", dependencies: ["Reporting"], swiftSettings: strict),
    .testTarget(
      name: "EvaluationTests", dependencies: ["Evaluation", "Forecast", "Unlearning"],
      swiftSettings: strict),
    .testTarget(
      name: "CoordinatorCoreTests",
      dependencies: ["CoordinatorCore", "Ledger", "Unlearning", "Hashing"], swiftSettings: strict),
    .testTarget(
      name: "JournalFormatTests", dependencies: ["JournalFormat", "Hashing"],
      swiftSettings: strict),
    .testTarget(
      name: "StorageTests",
      dependencies: [
        "TestKit", "Storage", "CoordinatorCore", "JournalFormat", "Unlearning", "Hashing",
        "SystemIO",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "WireFormatTests",
      dependencies: ["WireFormat", "CoordinatorCore", "Unlearning", "Hashing", "ByteCoding"],
      swiftSettings: strict),
    .testTarget(
      name: "WorkerCoreTests",
      dependencies: ["WorkerCore", "WireFormat", "CoordinatorCore", "Unlearning", "Hashing"],
      swiftSettings: strict),
    .testTarget(name: "SystemIOTests", dependencies: ["SystemIO"], swiftSettings: strict),
    .testTarget(
      name: "WorkerServiceTests",
      dependencies: [
        "TestKit", "WorkerService", "WorkerCore", "WireFormat", "CoordinatorCore",
        "ServiceSupport", "Training", "Numerics", "ModelFormats", "Unlearning", "Hashing",
        "SystemIO",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "LedgerTests", dependencies: ["TestKit", "Ledger", "Hashing"], swiftSettings: strict),
    .testTarget(
      name: "ReceiptsTests", dependencies: ["Receipts", "Ledger", "Hashing"],
      swiftSettings: strict),
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "TestKit", "CoordinatorAPI", "CoordinatorCore", "WireFormat", "ServiceSupport", "HTTP",
        "ModelFormats", "Storage", "SystemIO", "Unlearning", "Hashing", "Datasets", "Evaluation",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "TrainingTests",
      dependencies: [
        "Training", "Numerics", "ModelFormats", "Tokenization", "Unlearning", "Hashing",
        "ByteCoding",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "CheckupTests", dependencies: ["Checkup", "SystemIO"], swiftSettings: strict),
    .testTarget(
      name: "CommandLineKitTests", dependencies: ["CommandLineKit"], swiftSettings: strict),
    .testTarget(
      name: "SimulationTests", dependencies: ["TestKit", "SimulationKit", "CoordinatorCore"],
      swiftSettings: strict),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: strict),
    .testTarget(name: "RepositoryTests", dependencies: ["Hashing"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
