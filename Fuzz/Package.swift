// swift-tools-version:6.0
// Fuzz targets in Swift; `scripts/fuzz` builds them with the sanitizers.
import PackageDescription

let package = Package(
  name: "fuzz",
  dependencies: [.package(name: "tta", path: "..")],
  targets: [
    .executableTarget(
      name: "FuzzNumpy",
      dependencies: [.product(name: "Streams", package: "tta"), .product(name: "Engine", package: "tta")]),
    .executableTarget(
      name: "FuzzSafetensors",
      dependencies: [.product(name: "Safetensors", package: "tta"), .product(name: "Engine", package: "tta")]),
    .executableTarget(
      name: "FuzzOnnx",
      dependencies: [
        .product(name: "ModelIO", package: "tta"), .product(name: "Onnx", package: "tta"), .product(name: "Engine", package: "tta"),
      ]),
    .executableTarget(
      name: "FuzzTorch",
      dependencies: [.product(name: "TorchCheckpoint", package: "tta"), .product(name: "Engine", package: "tta")]),
  ]
)
