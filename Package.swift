// swift-tools-version:6.0
import PackageDescription

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
  name: "tta",
  products: [
    .library(name: "Engine", targets: ["Engine"]),
    .library(name: "Vision", targets: ["Vision"]),
    .library(name: "Streams", targets: ["Streams"]),
  ],
  dependencies: [],
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev", "pkg-config"])]),
    .target(name: "CKernels", dependencies: ["COpenBLAS"], linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Engine", dependencies: ["CKernels"], swiftSettings: strict),
    .target(
      name: "CImageCodecs", linkerSettings: [.linkedLibrary("png"), .linkedLibrary("jpeg")]),
    .target(name: "CVision", linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Vision", dependencies: ["Engine", "CImageCodecs", "CVision"], swiftSettings: strict),
    .target(name: "CShapes", linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Streams", dependencies: ["Vision", "Engine", "CShapes"], swiftSettings: strict),
    .testTarget(name: "EngineTests", dependencies: ["Engine", "CKernels"], swiftSettings: strict),
    .target(
      name: "VisionTestSupport", dependencies: ["Streams", "Vision", "Engine"], path: "Tests/VisionTestSupport", swiftSettings: strict),
    .testTarget(
      name: "VisionTests", dependencies: ["VisionTestSupport", "Streams", "Vision", "Engine", "CVision"], swiftSettings: strict),
    .testTarget(
      name: "StreamsTests", dependencies: ["VisionTestSupport", "Streams", "Vision", "Engine", "CShapes"], swiftSettings: strict),
  ]
)
