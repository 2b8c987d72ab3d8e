// Residual networks for ImageNet.

import Engine

/// He et al., CVPR 2016, with torchvision's names; the stride of a bottleneck is in its 3×3 convolution.
enum ResNet {
  /// What members of the family differ in.
  private struct Form {
    var blocks: [Int], bottleneck = true
    /// Channels of the 3×3 convolution of a bottleneck as a multiple of the plain network's, and its groups.
    var widening = 1, groups = 1
    /// Groups of group norm; 0 for batch norm.
    var normGroups = 0
  }

  static let members = [
    member("resnet18", "ResNet-18", Form(blocks: [2, 2, 2, 2], bottleneck: false)),
    member("resnet34", "ResNet-34", Form(blocks: [3, 4, 6, 3], bottleneck: false)),
    member("resnet50", "ResNet-50", Form(blocks: [3, 4, 6, 3])), member("resnet101", "ResNet-101", Form(blocks: [3, 4, 23, 3])),
    member("resnet152", "ResNet-152", Form(blocks: [3, 8, 36, 3])),
    member("resnext50-32x4d", "ResNeXt-50 32×4d", Form(blocks: [3, 4, 6, 3], widening: 2, groups: 32)),
    member("wide-resnet50-2", "Wide ResNet-50-2", Form(blocks: [3, 4, 6, 3], widening: 2)),
    member("resnet50-gn", "ResNet-50", Form(blocks: [3, 4, 6, 3], normGroups: 32)),
  ]
  private static func member(_ name: String, _ title: String, _ form: Form) -> Architecture {
    let published = name.replacing("-", with: "_")
    let aliases =
      (published == name ? [] : [published]) + (form.normGroups == 0 ? ["torchvision/\(published)"] : []) + ["timm/\(published)"]
    return Architecture(
      name, aliases: aliases, "\(title) for ImageNet, \(form.normGroups == 0 ? "batch" : "group") norm", classes: 1000, inputSize: 224
    ) { configuration throws(TTAError) in try graph(form, configuration) }
  }

  private static func graph(_ form: Form, _ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("conv1", x, filters: 64, kernel: 7, stride: 2, padding: 3)
    x = try net.activation("relu", try norm("bn1", x, form, &net))
    x = try net.layer("maxpool", Pooling(.maximum, kernel: .init(3), stride: .init(2), padding: .init(1)), x)
    for (stage, count) in form.blocks.enumerated() {
      for block in 0..<count {
        let stride = stage > 0 && block == 0 ? 2 : 1
        x = try residual("layer\(stage + 1).\(block)", x, width: 64 << stage, stride: stride, form, &net)
      }
    }
    x = try net.layer("avgpool", Mean(over: .positions), x)
    _ = try net.linear("fc", x, outputs: configuration.classes)
    return net.build()
  }
  private static func norm(_ name: String, _ input: Int, _ form: Form, _ net: inout NetworkBuilder) throws(TTAError) -> Int {
    try form.normGroups == 0 ? net.batchNorm(name, input) : net.groupNorm(name, input, groups: form.normGroups)
  }

  private static func residual(
    _ name: String, _ input: Int, width: Int, stride: Int, _ form: Form, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    let (out, inner) = (form.bottleneck ? 4 * width : width, width * form.widening)
    var x = input
    let layers: [(filters: Int, kernel: Int, stride: Int, groups: Int)] =
      form.bottleneck
      ? [(inner, 1, 1, 1), (inner, 3, stride, form.groups), (out, 1, 1, 1)] : [(width, 3, stride, 1), (width, 3, 1, 1)]
    for (index, layer) in layers.enumerated() {
      x = try net.convolution(
        "\(name).conv\(index + 1)", x, filters: layer.filters, kernel: layer.kernel, stride: layer.stride, padding: layer.kernel / 2,
        groups: layer.groups)
      x = try norm("\(name).bn\(index + 1)", x, form, &net)
      if index + 1 < layers.count { x = try net.activation("\(name).relu\(index + 1)", x) }
    }
    var shortcut = input
    if stride > 1 || net.shape(input)[0] != out {
      shortcut = try net.convolution(name + ".downsample.0", input, filters: out, kernel: 1, stride: stride)
      shortcut = try norm(name + ".downsample.1", shortcut, form, &net)
    }
    x = try net.add(name + ".add", x, shortcut)
    return try net.activation(name + ".relu", x)
  }
}
