// Wide residual networks for CIFAR.

import Engine

/// Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016: pre-activation blocks, depth 6n + 4. Names as in RobustBench.
enum WideResNet {
  static let members = [
    Architecture(
      "wide-resnet-28-10", aliases: ["WideResNet-28-10", "wrn-28-10"], "WRN-28-10 for CIFAR, batch norm", classes: 10, inputSize: 32
    ) {
      configuration throws(TTAError) in try graph(depth: 28, widen: 10, base: 16, configuration)
    },
    Architecture(
      "wide-resnet-40-2", aliases: ["WideResNet-40-2", "wrn-40-2"], "WRN-40-2 for CIFAR, batch norm", classes: 10, inputSize: 32
    ) {
      configuration throws(TTAError) in try graph(depth: 40, widen: 2, base: 16, configuration)
    },
  ]

  private static func graph(
    depth: Int, widen: Int, base: Int, _ configuration: ArchitectureConfiguration
  ) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("conv1", x, filters: base, kernel: 3, padding: 1)
    for stage in 0..<3 {
      let width = (base << stage) * widen
      for block in 0..<(depth - 4) / 6 {
        let name = "block\(stage + 1).layer.\(block)"
        x = try wideBlock(name, x, width: width, stride: stage > 0 && block == 0 ? 2 : 1, &net)
      }
    }
    x = try net.batchNorm("bn1", x)
    x = try net.activation("relu", x)
    x = try net.layer("pool", Mean(over: .positions), x)
    _ = try net.linear("fc", x, outputs: configuration.classes)
    return net.build()
  }

  private static func wideBlock(
    _ name: String, _ input: Int, width: Int, stride: Int, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    let activated = try net.activation(name + ".relu1", try net.batchNorm(name + ".bn1", input))
    var x = try net.convolution(name + ".conv1", activated, filters: width, kernel: 3, stride: stride, padding: 1)
    x = try net.activation(name + ".relu2", try net.batchNorm(name + ".bn2", x))
    var shortcut = input
    if net.shape(input)[0] != width {
      shortcut = try net.convolution(name + ".convShortcut", activated, filters: width, kernel: 1, stride: stride)
    }
    x = try net.convolution(name + ".conv2", x, filters: width, kernel: 3, padding: 1)
    return try net.add(name + ".add", x, shortcut)
  }
}
