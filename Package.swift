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
    .library(name: "Safetensors", targets: ["Safetensors"]),
    .library(name: "TorchCheckpoint", targets: ["TorchCheckpoint"]),
    .library(name: "Onnx", targets: ["Onnx"]),
    .library(name: "ModelIO", targets: ["ModelIO"]),
    .library(name: "TTA", targets: ["TTA"]),
    .library(name: "TTATestKit", targets: ["TTATestKit"]),
    .library(name: "Evaluation", targets: ["Evaluation"]),
    .library(name: "TTACommandLine", targets: ["TTACommandLine"]),
    .executable(name: "tta", targets: ["TTATool"]),
    .library(name: "Vision", targets: ["Vision"]),
    .library(name: "Streams", targets: ["Streams"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
  ],
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev", "pkg-config"])]),
    .target(name: "CKernels", dependencies: ["COpenBLAS"], linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Engine", dependencies: ["CKernels"], swiftSettings: strict),
    .target(name: "Safetensors", dependencies: ["Engine"], swiftSettings: strict),
    .target(name: "TorchCheckpoint", dependencies: ["Engine"], swiftSettings: strict),
    .target(name: "Onnx", dependencies: ["Engine"], swiftSettings: strict),
    .target(name: "ModelIO", dependencies: ["Engine", "Onnx", "Safetensors", "TorchCheckpoint"], swiftSettings: strict),
    .target(name: "TTA", dependencies: ["Engine", "Safetensors", "Vision"], swiftSettings: strict),
    .target(name: "TTATestKit", dependencies: ["Engine", "Safetensors", "ModelIO", "TTA"], swiftSettings: strict),
    .target(
      name: "CImageCodecs", linkerSettings: [.linkedLibrary("png"), .linkedLibrary("jpeg")]),
    .target(name: "CVision", linkerSettings: [.linkedLibrary("m")]),
    .target(name: "CAugmentation", linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Vision", dependencies: ["Engine", "CImageCodecs", "CVision", "CAugmentation"], swiftSettings: strict),
    .target(name: "CShapes", linkerSettings: [.linkedLibrary("m")]),
    .target(name: "Streams", dependencies: ["Vision", "Engine", "CShapes"], swiftSettings: strict),
    .target(name: "CEvaluation", linkerSettings: [.linkedLibrary("m")]),
    .target(
      name: "Evaluation", dependencies: ["CEvaluation", "TTA", "Streams", "Vision", "ModelIO", "Engine", "Safetensors"],
      swiftSettings: strict),
    .target(name: "CBuiltinModel"),
    .target(
      name: "TTACommandLine",
      dependencies: [
        "Evaluation", "CEvaluation", "TTA", "Streams", "Vision", "ModelIO", "Safetensors", "Engine", "CKernels", "CBuiltinModel",
        .product(name: "ArgumentParser", package: "swift-argument-parser"), .product(name: "Yams", package: "Yams"),
      ], swiftSettings: strict),
    .executableTarget(name: "TTATool", dependencies: ["TTACommandLine"], swiftSettings: strict),
    .testTarget(name: "CKernelsTests", dependencies: ["CKernels"], swiftSettings: strict),
    .testTarget(name: "EngineTests", dependencies: ["Engine", "CKernels", "Safetensors", "TTATestKit"], swiftSettings: strict),
    .testTarget(
      name: "ModelIOTests", dependencies: ["ModelIO", "Onnx", "Engine", "Safetensors", "TorchCheckpoint", "TTA", "TTATestKit"],
      swiftSettings: strict),
    .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
    .testTarget(
      name: "TTATests", dependencies: ["CAllocationCounter", "TTA", "Engine", "ModelIO", "Safetensors", "Vision", "TTATestKit"],
      swiftSettings: strict
    ),
    .testTarget(
      name: "EvaluationTests",
      dependencies: [
        "Evaluation", "TTA", "TTATestKit", "Streams", "Vision", "ModelIO", "Engine", "Safetensors", "CBuiltinModel",
      ], swiftSettings: strict),
    .testTarget(
      name: "EndToEndTests", dependencies: ["Streams", "Vision", "Engine", "Safetensors", "TTATestKit"], path: "Tests/EndToEnd",
      swiftSettings: strict),
    .target(
      name: "VisionTestSupport", dependencies: ["Streams", "Vision", "Engine"], path: "Tests/VisionTestSupport", swiftSettings: strict),
    .testTarget(
      name: "VisionTests", dependencies: ["VisionTestSupport", "Streams", "Vision", "Engine", "CVision", "Safetensors", "TTATestKit"],
      swiftSettings: strict),
    .testTarget(
      name: "StreamsTests", dependencies: ["VisionTestSupport", "Streams", "Vision", "Engine", "CShapes"], swiftSettings: strict),
  ]
)
