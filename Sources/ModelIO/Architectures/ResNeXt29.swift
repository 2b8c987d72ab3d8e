// ResNeXt for CIFAR.

import Engine

/// Xie et al., CVPR 2017, at depth 29 with 4 groups of 32 channels, as AugMix (Hendrycks et al., ICLR 2020) and RobustBench use and name it.
enum ResNeXt29 {
  static let members = [
    Architecture(
      "resnext29-32x4d", aliases: ["robustbench/ResNeXt29_32x4d", "resnext29_32x4d"], "ResNeXt-29 (4 groups of 32) for CIFAR, batch norm",
      classes: 10, inputSize: 32, graph)
  ]

  @Sendable private static func graph(_ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.normalizedConvolution(("conv_1_3x3", "bn_1"), x, filters: 64, kernel: 3, function: .relu)
    for stage in 0..<3 {
      for block in 0..<3 {
        x = try bottleneck("stage_\(stage + 1).\(block)", x, planes: 64 << stage, stride: stage > 0 && block == 0 ? 2 : 1, &net)
      }
    }
    x = try net.layer("pool", Mean(over: .positions), x)
    _ = try net.linear("classifier", x, outputs: configuration.classes)
    return net.build()
  }

  private static func bottleneck(
    _ name: String, _ input: Int, planes: Int, stride: Int, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    let (inner, out, groups) = (planes / 2 * 4, planes * 4, 4)
    var x = try net.normalizedConvolution((name + ".conv_reduce", name + ".bn_reduce"), input, filters: inner, kernel: 1, function: .relu)
    x = try net.normalizedConvolution(
      (name + ".conv_conv", name + ".bn"), x, filters: inner, kernel: 3, stride: stride, groups: groups, function: .relu)
    x = try net.normalizedConvolution((name + ".conv_expand", name + ".bn_expand"), x, filters: out, kernel: 1, function: nil)
    var shortcut = input
    if stride > 1 || net.shape(input)[0] != out {
      shortcut = try net.normalizedConvolution(
        (name + ".downsample.0", name + ".downsample.1"), input, filters: out, kernel: 1, stride: stride, function: nil)
    }
    return try net.activation(name + ".relu", try net.add(name + ".add", x, shortcut))
  }
}
