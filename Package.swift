// swift-tools-version: 6.2
import PackageDescription

// The layers, lowest first. A target may import only what stands above it in this file, so the
// manifest is the architecture's diagram and a new arrow is a design change.

let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

// Kernels are written as plain loops for the vectoriser: no overflow checks, and AVX2 where the host
// is x86-64. Separate multiplies and adds give the same bits at every vector width, so this choice
// is not part of the numeric class.
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

    .target(name: "ModelFormats", dependencies: ["Unlearning"], swiftSettings: strict),

    // Numeric: arithmetic on memory; no files, no sockets.
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .target(name: "Numerics", dependencies: ["COpenBLAS", "Hashing"], swiftSettings: vectorised),
    .target(
      name: "Training", dependencies: ["Numerics", "ModelFormats", "Unlearning", "Hashing"],
      swiftSettings: vectorised),

    .testTarget(name: "HashingTests", dependencies: ["Hashing", "ByteCoding"], swiftSettings: strict),
    .testTarget(
      name: "ModelFormatsTests", dependencies: ["ModelFormats", "Unlearning"],
      swiftSettings: strict),
    .testTarget(name: "NumericsTests", dependencies: ["Numerics", "Hashing"], swiftSettings: strict),
    .testTarget(
      name: "TrainingTests",
      dependencies: ["Training", "Numerics", "ModelFormats", "Unlearning", "Hashing"],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
