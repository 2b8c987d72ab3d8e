// MobileNet V2 and EfficientNet: networks of inverted residuals.

import Engine

/// Sandler et al., CVPR 2018 (MobileNet V2: ReLU6), and Tan and Le, ICML 2019 (EfficientNet: SiLU, squeeze and excitation), batch norm in both, with
/// the names of torchvision and of timm.
struct InvertedResiduals {
  static let members = [
    member("mobilenet-v2", "MobileNet V2", .mobileNetV2, .torchvisionMobileNet, aliases: ["torchvision/mobilenet_v2", "mobilenet_v2"]),
    member(
      "timm-mobilenet-v2", "MobileNet V2 with timm's names", .mobileNetV2, .timm, aliases: ["timm/mobilenetv2_100", "mobilenetv2_100"]),
    member(
      "efficientnet-b0", "EfficientNet-B0", .efficientNetB0, .torchvisionEfficientNet,
      aliases: ["torchvision/efficientnet_b0", "efficientnet_b0"]),
    member("timm-efficientnet-b0", "EfficientNet-B0 with timm's names", .efficientNetB0, .timm, aliases: ["timm/efficientnet_b0"]),
  ]

  /// Expansion, kernel, stride, filters and repetitions of a stage.
  private typealias Stage = (expansion: Int, kernel: Int, stride: Int, filters: Int, count: Int)
  private var stages: [Stage], function: Activation.Function, squeezes: Bool

  /// Table 2 of the paper.
  private static let mobileNetV2 = InvertedResiduals(
    stages: [
      (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 3, 2, 32, 3), (6, 3, 2, 64, 4), (6, 3, 1, 96, 3), (6, 3, 2, 160, 3), (6, 3, 1, 320, 1),
    ], function: .relu6, squeezes: false)
  /// Table 1 of the paper.
  private static let efficientNetB0 = InvertedResiduals(
    stages: [
      (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
    ], function: .silu, squeezes: true)

  /// How published checkpoints call the layers.
  private enum Names {
    case torchvisionMobileNet, torchvisionEfficientNet, timm

    /// Convolution and norm of the stem and of the last convolution, and the classifier.
    var stem: (String, String) { self == .timm ? ("conv_stem", "bn1") : ("features.0.0", "features.0.1") }
    func head(blocks: Int) -> (String, String) {
      let place = self == .torchvisionMobileNet ? blocks + 1 : 8
      return self == .timm ? ("conv_head", "bn2") : ("features.\(place).0", "features.\(place).1")
    }
    var classifier: String { self == .timm ? "classifier" : "classifier.1" }
    /// A block by its stage, its place there, and its place among all.
    func block(_ stage: Int, _ place: Int, _ number: Int) -> String {
      switch self {
      case .torchvisionMobileNet: "features.\(number + 1).conv"
      case .torchvisionEfficientNet: "features.\(stage + 1).\(place).block"
      case .timm: "blocks.\(stage).\(place)"
      }
    }
    /// Convolution and norm of a part of a block.
    func part(_ part: Part, expands: Bool) -> (String, String) {
      let first = expands ? 1 : 0
      switch (self, part) {
      case (.timm, .expansion): return ("conv_pw", "bn1")
      case (.timm, .depthwise): return ("conv_dw", "bn\(1 + first)")
      case (.timm, .projection): return (expands ? "conv_pwl" : "conv_pw", "bn\(2 + first)")
      case (_, .expansion): return ("0.0", "0.1")
      case (_, .depthwise): return ("\(first).0", "\(first).1")
      case (.torchvisionMobileNet, .projection): return ("\(first + 1)", "\(first + 2)")
      case (.torchvisionEfficientNet, .projection): return ("\(first + 2).0", "\(first + 2).1")
      }
    }
    func squeeze(expands: Bool) -> (String, String) {
      self == .timm ? ("se.conv_reduce", "se.conv_expand") : ("\(expands ? 2 : 1).fc1", "\(expands ? 2 : 1).fc2")
    }
  }
  private enum Part { case expansion, depthwise, projection }

  private static func member(
    _ name: String, _ title: String, _ network: InvertedResiduals, _ names: Names, aliases: [String]
  ) -> Architecture {
    Architecture(name, aliases: aliases, "\(title) for ImageNet, batch norm", classes: 1000, inputSize: 224) {
      configuration throws(TTAError) in
      try network.graph(names, configuration)
    }
  }

  private func graph(_ names: Names, _ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.normalizedConvolution(names.stem, x, filters: 32, kernel: 3, stride: 2, function: function)
    var number = 0
    for (index, stage) in stages.enumerated() {
      for place in 0..<stage.count {
        x = try block(names.block(index, place, number), x, stage, stride: place == 0 ? stage.stride : 1, names, &net)
        number += 1
      }
    }
    x = try net.normalizedConvolution(names.head(blocks: number), x, filters: 1280, kernel: 1, function: function)
    x = try net.layer("pool", Mean(over: .positions), x)
    _ = try net.linear(names.classifier, x, outputs: configuration.classes)
    return net.build()
  }

  private func block(
    _ name: String, _ input: Int, _ stage: Stage, stride: Int, _ names: Names, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    let (channels, expands) = (net.shape(input)[0], stage.expansion > 1)
    let width = channels * stage.expansion
    func part(_ part: Part) -> (String, String) {
      let (convolution, norm) = names.part(part, expands: expands)
      return ("\(name).\(convolution)", "\(name).\(norm)")
    }
    var x = input
    if expands { x = try net.normalizedConvolution(part(.expansion), x, filters: width, kernel: 1, function: function) }
    x = try net.normalizedConvolution(
      part(.depthwise), x, filters: width, kernel: stage.kernel, stride: stride, groups: width, function: function)
    if squeezes {
      let layers = names.squeeze(expands: expands)
      x = try squeezeExcitation((name + "." + layers.0, name + "." + layers.1), x, width: max(1, channels / 4), &net)
    }
    x = try net.normalizedConvolution(part(.projection), x, filters: stage.filters, kernel: 1, function: nil)
    return net.shape(x) == net.shape(input) ? try net.add(name + ".add", input, x) : x
  }

  /// Hu et al., CVPR 2018: a factor per channel from the mean over positions.
  private func squeezeExcitation(
    _ layers: (String, String), _ input: Int, width: Int, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    let channels = net.shape(input)[0]
    var x = try net.layer(layers.0 + ".pool", AdaptivePooling(size: .init(1)), input)
    x = try net.convolution(layers.0, x, filters: width, kernel: 1, bias: true)
    x = try net.activation(layers.0 + ".act", x, function)
    x = try net.convolution(layers.1, x, filters: channels, kernel: 1, bias: true)
    x = try net.activation(layers.1 + ".gate", x, .sigmoid)
    return try net.multiply(layers.1 + ".scale", input, x)
  }
}
