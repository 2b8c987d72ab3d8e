// Wide residual networks for CIFAR.

import Engine

/// Zagoruyko and Komodakis, "Wide Residual Networks", BMVC 2016: pre-activation blocks, depth 6n + 4. Names as in RobustBench; its second form is that
/// of DeepMind's robust networks: other names, SiLU, and convolutions of stride 2 padded below and on the right only.
enum WideResNet {
  static let members = [
    member(depth: 28, widen: 10), member(depth: 34, widen: 10), member(depth: 40, widen: 2),
    deepMindMember(depth: 28, widen: 10), deepMindMember(depth: 70, widen: 16),
  ]
  private static func deepMindMember(depth: Int, widen: Int) -> Architecture {
    Architecture(
      "dm-wide-resnet-\(depth)-\(widen)", aliases: ["DMWideResNet-\(depth)-\(widen)"],
      "WRN-\(depth)-\(widen) for CIFAR as DeepMind trained it, SiLU, batch norm", classes: 10, inputSize: 32
    ) { configuration throws(TTAError) in try deepMindGraph(depth: depth, widen: widen, configuration) }
  }
  private static func member(depth: Int, widen: Int) -> Architecture {
    Architecture(
      "wide-resnet-\(depth)-\(widen)", aliases: ["WideResNet-\(depth)-\(widen)", "wrn-\(depth)-\(widen)"],
      "WRN-\(depth)-\(widen) for CIFAR, batch norm", classes: 10, inputSize: 32, ignored: ["sub_block1."]
    ) { configuration throws(TTAError) in try graph(depth: depth, widen: widen, base: 16, configuration) }
  }

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

  private static func deepMindGraph(depth: Int, widen: Int, _ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("init_conv", x, filters: 16, kernel: 3, padding: 1)
    for stage in 0..<3 {
      for block in 0..<(depth - 4) / 6 {
        x = try deepMindBlock(
          "layer.\(stage).block.\(block)", x, width: (16 << stage) * widen, stride: stage > 0 && block == 0 ? 2 : 1, &net)
      }
    }
    x = try net.activation("relu", try net.batchNorm("batchnorm", x), .silu)
    x = try net.layer("pool", Mean(over: .positions), x)
    _ = try net.linear("logits", x, outputs: configuration.classes)
    return net.build()
  }

  private static func deepMindBlock(
    _ name: String, _ input: Int, width: Int, stride: Int, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    let activated = try net.activation(name + ".relu_0", try net.batchNorm(name + ".batchnorm_0", input), .silu)
    var x = activated
    if stride > 1 { x = try net.layer(name + ".pad", Pad(top: 0, left: 0, bottom: 1, right: 1), x) }
    x = try net.convolution(name + ".conv_0", x, filters: width, kernel: 3, stride: stride, padding: stride > 1 ? 0 : 1)
    x = try net.activation(name + ".relu_1", try net.batchNorm(name + ".batchnorm_1", x), .silu)
    x = try net.convolution(name + ".conv_1", x, filters: width, kernel: 3, padding: 1)
    var shortcut = input
    if net.shape(input)[0] != width {
      shortcut = try net.convolution(name + ".shortcut", activated, filters: width, kernel: 1, stride: stride)
    }
    return try net.add(name + ".add", x, shortcut)
  }
}
