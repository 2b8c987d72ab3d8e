// MobileNet V1.

import Engine

/// Howard et al., 2017, at a quarter of the width: ReLU, symmetric padding, batch norm. Layer k of `features` holds depthwise convolution (0), norm (1),
/// pointwise convolution (3), norm (4).
enum MobileNetV1 {
  static let members = [
    Architecture(
      "mobilenet-v1-025", aliases: ["mobilenetv1_025_imagenet", "mobilenetv1-025"], "MobileNet V1 at width 0.25 for ImageNet, batch norm",
      classes: 1000, inputSize: 224, graph)
  ]
  private static let blocks: [(filters: Int, stride: Int)] =
    [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)] + Array(repeating: (128, 1), count: 5) + [(256, 2), (256, 1)]

  @Sendable private static func graph(_ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("features.0.0", x, filters: 8, kernel: 3, stride: 2, padding: 1)
    x = try net.activation("features.0.2", try net.batchNorm("features.0.1", x))
    for (index, block) in blocks.enumerated() {
      let name = "features.\(index + 1)"
      let channels = net.shape(x)[0]
      x = try net.convolution(name + ".0", x, filters: channels, kernel: 3, stride: block.stride, padding: 1, groups: channels)
      x = try net.activation(name + ".2", try net.batchNorm(name + ".1", x))
      x = try net.convolution(name + ".3", x, filters: block.filters, kernel: 1)
      x = try net.activation(name + ".5", try net.batchNorm(name + ".4", x))
    }
    x = try net.layer("pool", Mean(over: .positions), x)
    _ = try net.linear("classifier", x, outputs: configuration.classes)
    return net.build()
  }
}
