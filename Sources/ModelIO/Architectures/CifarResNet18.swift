// The wide-stem residual networks for CIFAR, plain and pre-activated.

import Engine

/// ResNet-18 with a 3×3 stem and 64 to 512 channels, names as in RobustBench: He et al., CVPR 2016, and the pre-activated blocks of He et al., ECCV 2016.
enum CifarResNet18 {
  static let members = [
    Architecture(
      "cifar-resnet18", aliases: ["robustbench/ResNet18"], "ResNet-18 for CIFAR with 64 to 512 channels, batch norm", classes: 10,
      inputSize: 32
    ) { configuration throws(TTAError) in try graph(preActivated: false, configuration) },
    Architecture(
      "preact-resnet18", aliases: ["robustbench/PreActResNet18"], "pre-activated ResNet-18 for CIFAR, batch norm before the classifier too",
      classes: 10, inputSize: 32
    ) { configuration throws(TTAError) in try graph(preActivated: true, configuration) },
  ]

  private static func graph(preActivated: Bool, _ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("conv1", x, filters: 64, kernel: 3, padding: 1)
    if !preActivated { x = try net.activation("relu", try net.batchNorm("bn1", x)) }
    for stage in 0..<4 {
      for block in 0..<2 {
        let name = "layer\(stage + 1).\(block)"
        let stride = stage > 0 && block == 0 ? 2 : 1
        x =
          try preActivated
          ? preActivatedBlock(name, x, width: 64 << stage, stride: stride, &net)
          : plainBlock(name, x, width: 64 << stage, stride: stride, &net)
      }
    }
    if preActivated { x = try net.activation("relu", try net.batchNorm("bn", x)) }
    x = try net.layer("pool", Mean(over: .positions), x)
    _ = try net.linear("linear", x, outputs: configuration.classes)
    return net.build()
  }

  private static func plainBlock(
    _ name: String, _ input: Int, width: Int, stride: Int, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    var x = try net.normalizedConvolution(
      (name + ".conv1", name + ".bn1"), input, filters: width, kernel: 3, stride: stride, function: .relu)
    x = try net.normalizedConvolution((name + ".conv2", name + ".bn2"), x, filters: width, kernel: 3, function: nil)
    var shortcut = input
    if stride > 1 || net.shape(input)[0] != width {
      shortcut = try net.normalizedConvolution(
        (name + ".shortcut.0", name + ".shortcut.1"), input, filters: width, kernel: 1, stride: stride, function: nil)
    }
    return try net.activation(name + ".relu", try net.add(name + ".add", x, shortcut))
  }
  /// The shortcut reads the activated input where it changes the shape.
  private static func preActivatedBlock(
    _ name: String, _ input: Int, width: Int, stride: Int, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    let activated = try net.activation(name + ".relu1", try net.batchNorm(name + ".bn1", input))
    var x = try net.convolution(name + ".conv1", activated, filters: width, kernel: 3, stride: stride, padding: 1)
    x = try net.activation(name + ".relu2", try net.batchNorm(name + ".bn2", x))
    x = try net.convolution(name + ".conv2", x, filters: width, kernel: 3, padding: 1)
    var shortcut = input
    if stride > 1 || net.shape(input)[0] != width {
      shortcut = try net.convolution(name + ".shortcut.0", activated, filters: width, kernel: 1, stride: stride)
    }
    return try net.add(name + ".add", x, shortcut)
  }
}
