// The networks without shortcuts: VGG and AlexNet.

import Engine

/// Simonyan and Zisserman, ICLR 2015, with a batch norm behind every convolution, and Krizhevsky et al., NIPS 2012, as torchvision has both.
enum VGG {
  static let members =
    [
      member(11, [1, 1, 2, 2, 2]), member(13, [2, 2, 2, 2, 2]), member(16, [2, 2, 3, 3, 3]), member(19, [2, 2, 4, 4, 4]),
    ] + [
      Architecture(
        "alexnet", aliases: ["torchvision/alexnet"], "AlexNet for ImageNet, no norm layers", classes: 1000, inputSize: 224, alexNet)
    ]

  private static func member(_ depth: Int, _ convolutions: [Int]) -> Architecture {
    Architecture(
      "vgg\(depth)-bn", aliases: ["vgg\(depth)_bn", "torchvision/vgg\(depth)_bn"], "VGG-\(depth) for ImageNet, batch norm", classes: 1000,
      inputSize: 224
    ) { configuration throws(TTAError) in
      var net = NetworkBuilder(inputSize: configuration.inputSize)
      var x = try net.normalizedImages(configuration)
      var layer = 0
      for (stage, count) in convolutions.enumerated() {
        for _ in 0..<count {
          x = try net.convolution("features.\(layer)", x, filters: min(512, 64 << stage), kernel: 3, padding: 1, bias: true)
          x = try net.activation("features.\(layer + 2)", try net.batchNorm("features.\(layer + 1)", x))
          layer += 3
        }
        x = try net.layer("features.\(layer)", Pooling(.maximum, kernel: .init(2), stride: .init(2)), x)
        layer += 1
      }
      return try classifier(x, grid: 7, layers: ["classifier.0", "classifier.3", "classifier.6"], configuration, &net)
    }
  }

  @Sendable private static func alexNet(_ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    let layers: [(place: Int, filters: Int, kernel: Int, stride: Int, padding: Int, pools: Bool)] = [
      (0, 64, 11, 4, 2, true), (3, 192, 5, 1, 2, true), (6, 384, 3, 1, 1, false), (8, 256, 3, 1, 1, false), (10, 256, 3, 1, 1, true),
    ]
    for layer in layers {
      x = try net.convolution(
        "features.\(layer.place)", x, filters: layer.filters, kernel: layer.kernel, stride: layer.stride, padding: layer.padding, bias: true
      )
      x = try net.activation("features.\(layer.place + 1)", x)
      if layer.pools { x = try net.layer("features.\(layer.place + 2)", Pooling(.maximum, kernel: .init(3), stride: .init(2)), x) }
    }
    return try classifier(x, grid: 6, layers: ["classifier.1", "classifier.4", "classifier.6"], configuration, &net)
  }

  private static func classifier(
    _ input: Int, grid: Int, layers: [String], _ configuration: ArchitectureConfiguration, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Graph {
    var x = try net.layer("avgpool", AdaptivePooling(size: .init(grid)), input)
    x = try net.layer("flatten", Reshape(), x)
    for layer in layers.dropLast() { x = try net.activation(layer + ".relu", try net.linear(layer, x, outputs: 4096)) }
    _ = try net.linear(layers[layers.count - 1], x, outputs: configuration.classes)
    return net.build()
  }
}
