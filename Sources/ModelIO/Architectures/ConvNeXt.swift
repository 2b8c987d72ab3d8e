// ConvNeXt.

import Engine

/// Liu et al., CVPR 2022: depthwise 7×7 convolutions, layer norm, GELU, layer scale; with the names of torchvision and of timm.
enum ConvNeXt {
  static let members = Size.allCases.flatMap { size in
    [
      Architecture(
        "convnext-\(size)", aliases: ["torchvision/convnext_\(size)", "convnext_\(size)"], "ConvNeXt-\(size) for ImageNet, layer norm",
        classes: 1000, inputSize: 224
      ) { configuration throws(TTAError) in try graph(size, .torchvision, configuration) },
      Architecture(
        "timm-convnext-\(size)", aliases: ["timm/convnext_\(size)"], "ConvNeXt-\(size) with timm's names for ImageNet, layer norm",
        classes: 1000, inputSize: 224
      ) { configuration throws(TTAError) in try graph(size, .timm, configuration) },
    ]
  }
  private enum Size: CaseIterable {
    case tiny, small
    var depths: [Int] { self == .tiny ? [3, 3, 9, 3] : [3, 3, 27, 3] }
    var widths: [Int] { [96, 192, 384, 768] }
  }

  /// How published checkpoints call the layers.
  private enum Names {
    case torchvision, timm

    /// Convolution and norm of the stem.
    var stem: (String, String) { self == .timm ? ("stem.0", "stem.1") : ("features.0.0", "features.0.1") }
    /// Norm and convolution in front of a stage.
    func downsampling(_ stage: Int) -> (String, String) {
      let name = self == .timm ? "stages.\(stage).downsample" : "features.\(2 * stage)"
      return (name + ".0", name + ".1")
    }
    func block(_ stage: Int, _ place: Int) -> Block {
      switch self {
      case .torchvision:
        let name = "features.\(2 * stage + 1).\(place)"
        return Block(
          name: name, convolution: name + ".block.0", norm: name + ".block.2", layers: (name + ".block.3", name + ".block.5"),
          scale: name + ".layer_scale", isPlane: true)
      case .timm:
        let name = "stages.\(stage).blocks.\(place)"
        return Block(
          name: name, convolution: name + ".conv_dw", norm: name + ".norm", layers: (name + ".mlp.fc1", name + ".mlp.fc2"),
          scale: name + ".gamma", isPlane: false)
      }
    }
    /// Norm and linear layer of the classifier.
    var classifier: (String, String) { self == .timm ? ("head.norm", "head.fc") : ("classifier.0", "classifier.2") }
  }
  /// The names in a block; `isPlane` where the factors have two axes of length 1.
  private struct Block { var name: String, convolution: String, norm: String, layers: (String, String), scale: String, isPlane: Bool }

  /// Layer norms work on positions × channels: the network runs in that order between its convolutions.
  private static func graph(_ size: Size, _ names: Names, _ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution(names.stem.0, x, filters: size.widths[0], kernel: 4, stride: 4, bias: true)
    x = try channelNorm(names.stem.1, x, &net)
    for (stage, depth) in size.depths.enumerated() {
      if stage > 0 {
        let layers = names.downsampling(stage)
        x = try channelNorm(layers.0, x, &net)
        x = try net.convolution(layers.1, x, filters: size.widths[stage], kernel: 2, stride: 2, bias: true)
      }
      for place in 0..<depth { x = try block(names.block(stage, place), x, &net) }
    }
    x = try net.layer("avgpool", Mean(over: .positions), x)
    x = try net.layerNorm(names.classifier.0, x, epsilon: 1e-6)
    _ = try net.linear(names.classifier.1, x, outputs: configuration.classes)
    return net.build()
  }

  private static func channelNorm(_ name: String, _ input: Int, _ net: inout NetworkBuilder) throws(TTAError) -> Int {
    let last = try net.layer(name + ".channels_last", Permute([1, 2, 0]), input)
    return try net.layer(name + ".channels_first", Permute([2, 0, 1]), try net.layerNorm(name, last, epsilon: 1e-6))
  }
  private static func block(_ names: Block, _ input: Int, _ net: inout NetworkBuilder) throws(TTAError) -> Int {
    let width = net.shape(input)[0]
    var x = try net.convolution(names.convolution, input, filters: width, kernel: 7, padding: 3, groups: width, bias: true)
    x = try net.layerNorm(names.norm, try net.layer(names.name + ".channels_last", Permute([1, 2, 0]), x), epsilon: 1e-6)
    x = try net.activation(names.name + ".act", try net.linear(names.layers.0, x, outputs: 4 * width), .gelu)
    x = try net.linear(names.layers.1, x, outputs: width)
    x = try net.layer(names.name + ".channels_first", Permute([2, 0, 1]), x)
    x = try net.layerScale(names.scale, x, shape: names.isPlane ? [width, 1, 1] : [width])
    return try net.add(names.name + ".add", input, x)
  }
}
