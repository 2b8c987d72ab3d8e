// The pre-activation CIFAR network of the test-time training papers.

import Engine

/// ResNet-26 with group norm (8 groups), as test-time training (Sun et al., ICML 2020), MEMO and TTAB use it: pre-activation blocks
/// whose first norm belongs to the residual branch; shortcuts average and append zero channels.
enum ResNet26 {
  static let members = [
    Architecture(
      "resnet26", aliases: ["resnet26_gn_cifar10", "resnet26-gn"], "CIFAR ResNet-26 of TTT, MEMO and TTAB, group norm", classes: 10,
      inputSize: 32,
      graph)
  ]

  @Sendable private static func graph(_ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("conv1", x, filters: 16, kernel: 3, padding: 1)
    for (stage, width) in [16, 32, 64].enumerated() {
      for block in 0..<4 {
        x = try preActivationBlock("layer\(stage + 1).\(block)", x, width: width, stride: stage > 0 && block == 0 ? 2 : 1, &net)
      }
    }
    x = try net.activation("relu", try net.groupNorm("bn", x, groups: 8))
    x = try net.layer("pool", Mean(over: .positions), x)
    _ = try net.linear("fc", x, outputs: configuration.classes)
    return net.build()
  }

  private static func preActivationBlock(
    _ name: String, _ input: Int, width: Int, stride: Int, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    var x = try net.activation(name + ".relu1", try net.groupNorm(name + ".bn1", input, groups: 8))
    x = try net.convolution(name + ".conv1", x, filters: width, kernel: 3, stride: stride, padding: 1)
    x = try net.activation(name + ".relu2", try net.groupNorm(name + ".bn2", x, groups: 8))
    x = try net.convolution(name + ".conv2", x, filters: width, kernel: 3, padding: 1)
    var shortcut = input
    if stride > 1 {
      let pooling = Pooling(.average(countsPadding: true), kernel: .init(stride), stride: .init(stride))
      shortcut = try net.layer(name + ".downsample", pooling, shortcut)
    }
    if net.shape(input)[0] != width {
      shortcut = try net.layer(name + ".pad", Shortcut(stride: 1, channelsBefore: 0, outChannels: width), shortcut)
    }
    return try net.add(name + ".add", x, shortcut)
  }
}
