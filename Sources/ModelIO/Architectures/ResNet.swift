// Residual networks for ImageNet.

import Engine

/// He et al., CVPR 2016, with torchvision's names; the stride of a bottleneck is in its 3×3 convolution.
enum ResNet {
  static let members = [
    member("resnet18", blocks: [2, 2, 2, 2], bottleneck: false), member("resnet34", blocks: [3, 4, 6, 3], bottleneck: false),
    member("resnet50", blocks: [3, 4, 6, 3], bottleneck: true), member("resnet101", blocks: [3, 4, 23, 3], bottleneck: true),
  ]
  private static func member(_ name: String, blocks: [Int], bottleneck: Bool) -> Architecture {
    Architecture(
      name, aliases: ["torchvision/\(name)", "timm/\(name)"], "ResNet-\(name.dropFirst(6)) for ImageNet, batch norm", classes: 1000,
      inputSize: 224
    ) { configuration throws(TTAError) in try graph(blocks: blocks, bottleneck: bottleneck, configuration) }
  }

  private static func graph(
    blocks: [Int], bottleneck: Bool, _ configuration: ArchitectureConfiguration
  ) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("conv1", x, filters: 64, kernel: 7, stride: 2, padding: 3)
    x = try net.activation("relu", try net.batchNorm("bn1", x))
    x = try net.layer("maxpool", Pooling(.maximum, kernel: .init(3), stride: .init(2), padding: .init(1)), x)
    for (stage, count) in blocks.enumerated() {
      for block in 0..<count {
        let name = "layer\(stage + 1).\(block)"
        let stride = stage > 0 && block == 0 ? 2 : 1
        x = try residual(name, x, width: 64 << stage, stride: stride, bottleneck: bottleneck, &net)
      }
    }
    x = try net.layer("avgpool", Mean(over: .positions), x)
    _ = try net.linear("fc", x, outputs: configuration.classes)
    return net.build()
  }

  private static func residual(
    _ name: String, _ input: Int, width: Int, stride: Int, bottleneck: Bool, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    let out = bottleneck ? 4 * width : width
    var x = input
    let layers: [(filters: Int, kernel: Int, stride: Int)] =
      bottleneck ? [(width, 1, 1), (width, 3, stride), (out, 1, 1)] : [(width, 3, stride), (width, 3, 1)]
    for (index, layer) in layers.enumerated() {
      x = try net.convolution(
        "\(name).conv\(index + 1)", x, filters: layer.filters, kernel: layer.kernel, stride: layer.stride, padding: layer.kernel / 2)
      x = try net.batchNorm("\(name).bn\(index + 1)", x)
      if index + 1 < layers.count { x = try net.activation("\(name).relu\(index + 1)", x) }
    }
    var shortcut = input
    if stride > 1 || net.shape(input)[0] != out {
      shortcut = try net.convolution(name + ".downsample.0", input, filters: out, kernel: 1, stride: stride)
      shortcut = try net.batchNorm(name + ".downsample.1", shortcut)
    }
    x = try net.add(name + ".add", x, shortcut)
    return try net.activation(name + ".relu", x)
  }
}
