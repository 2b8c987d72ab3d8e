// Densely connected networks.

import Engine

/// Huang et al., CVPR 2017, with torchvision's names: every layer reads all earlier ones of its block, batch norm before each convolution.
enum DenseNet {
  static let members = [
    Architecture(
      "densenet121", aliases: ["torchvision/densenet121"], "DenseNet-121 for ImageNet, batch norm", classes: 1000, inputSize: 224,
      olderNames: [(".norm.1.", ".norm1."), (".conv.1.", ".conv1."), (".norm.2.", ".norm2."), (".conv.2.", ".conv2.")], graph)
  ]
  private static let blocks = [6, 12, 24, 16], growth = 32

  @Sendable private static func graph(_ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("features.conv0", x, filters: 64, kernel: 7, stride: 2, padding: 3)
    x = try net.activation("features.relu0", try net.batchNorm("features.norm0", x))
    x = try net.layer("features.pool0", Pooling(.maximum, kernel: .init(3), stride: .init(2), padding: .init(1)), x)
    for (index, layers) in blocks.enumerated() {
      let block = "features.denseblock\(index + 1)"
      for layer in 0..<layers {
        let name = "\(block).denselayer\(layer + 1)"
        var y = try net.activation(name + ".relu1", try net.batchNorm(name + ".norm1", x))
        y = try net.convolution(name + ".conv1", y, filters: 4 * growth, kernel: 1)
        y = try net.activation(name + ".relu2", try net.batchNorm(name + ".norm2", y))
        y = try net.convolution(name + ".conv2", y, filters: growth, kernel: 3, padding: 1)
        x = try net.concatenate(name + ".join", [x, y])
      }
      guard index + 1 < blocks.count else { break }
      let name = "features.transition\(index + 1)"
      x = try net.activation(name + ".relu", try net.batchNorm(name + ".norm", x))
      x = try net.convolution(name + ".conv", x, filters: net.shape(x)[0] / 2, kernel: 1)
      x = try net.layer(name + ".pool", Pooling(.average(countsPadding: true), kernel: .init(2), stride: .init(2)), x)
    }
    x = try net.activation("relu", try net.batchNorm("features.norm5", x))
    x = try net.layer("pool", Mean(over: .positions), x)
    _ = try net.linear("classifier", x, outputs: configuration.classes)
    return net.build()
  }
}
