// swift-tools-version:6.0
import PackageDescription

let package = Package(
  name: "CustomStrategy",
  dependencies: [.package(name: "tta", path: "../..")],
  targets: [
    .executableTarget(
      name: "mytta",
      dependencies: [
        .product(name: "TTA", package: "tta"), .product(name: "TTACommandLine", package: "tta"), .product(name: "Engine", package: "tta"),
      ])
  ]
)
