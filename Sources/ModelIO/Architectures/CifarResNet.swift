// The residual networks for CIFAR of He et al.

import Engine

/// He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2: depth 6n + 2, widths 16, 32, 64, shortcuts of type A
/// (every second position, zero channels before and after). Names as in the widely used PyTorch versions, the classifier called `fc`.
enum CifarResNet {
  static let members = [14, 20, 32, 44, 56, 110].map { depth in
    Architecture(
      "cifar-resnet\(depth)", aliases: ["resnet\(depth)_cifar10"], "CIFAR ResNet-\(depth) with shortcuts of type A, batch norm",
      classes: 10,
      inputSize: 32
    ) { configuration throws(TTAError) in try graph(depth: depth, configuration) }
  }

  private static func graph(depth: Int, _ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("conv1", x, filters: 16, kernel: 3, padding: 1)
    x = try net.batchNorm("bn1", x)
    x = try net.activation("relu", x)
    for (stage, width) in [16, 32, 64].enumerated() {
      for block in 0..<(depth - 2) / 6 {
        let stride = stage > 0 && block == 0 ? 2 : 1
        x = try basicBlock("layer\(stage + 1).\(block)", x, width: width, stride: stride, &net)
      }
    }
    x = try net.layer("pool", Mean(over: .positions), x)
    _ = try net.linear("fc", x, outputs: configuration.classes)
    return net.build()
  }

  private static func basicBlock(
    _ name: String, _ input: Int, width: Int, stride: Int, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    var x = try net.convolution(name + ".conv1", input, filters: width, kernel: 3, stride: stride, padding: 1)
    x = try net.batchNorm(name + ".bn1", x)
    x = try net.activation(name + ".relu1", x)
    x = try net.convolution(name + ".conv2", x, filters: width, kernel: 3, padding: 1)
    x = try net.batchNorm(name + ".bn2", x)
    var shortcut = input
    let channels = net.shape(input)[0]
    if stride > 1 || channels != width {
      shortcut = try net.layer(
        name + ".shortcut", Shortcut(stride: stride, channelsBefore: (width - channels) / 2, outChannels: width), input)
    }
    x = try net.add(name + ".add", x, shortcut)
    return try net.activation(name + ".relu2", x)
  }
}
