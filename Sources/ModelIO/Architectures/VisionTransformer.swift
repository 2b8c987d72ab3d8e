// Vision transformers.

import Engine

/// Dosovitskiy et al., ICLR 2021, with timm's names: pre-norm blocks with GELU, or post-norm blocks with ReLU for the small CIFAR network.
enum VisionTransformer {
  private struct Size { var width: Int, depth: Int, heads: Int, hidden: Int, patch: Int }

  static let members = [
    member("vit-tiny-patch16-224", "Tiny", Size(width: 192, depth: 12, heads: 3, hidden: 768, patch: 16)),
    member("vit-small-patch16-224", "Small", Size(width: 384, depth: 12, heads: 6, hidden: 1536, patch: 16)),
    member("vit-base-patch16-224", "Base", Size(width: 768, depth: 12, heads: 12, hidden: 3072, patch: 16)),
    Architecture(
      "vit-post-norm-cifar", aliases: ["vit_d128_l6_p4_cifar10"], "small vision transformer for CIFAR, post-norm blocks, layer norm",
      classes: 10,
      inputSize: 32
    ) { configuration throws(TTAError) in
      try graph(Size(width: 128, depth: 6, heads: 8, hidden: 256, patch: 4), postNorm: true, epsilon: 1e-5, configuration)
    },
  ]
  private static func member(_ name: String, _ adjective: String, _ size: Size) -> Architecture {
    let alias = name.replacing("-", with: "_")
    return Architecture(
      name, aliases: [alias, "timm/\(alias)", name.replacing("vit", with: "deit"), alias.replacing("vit", with: "deit")],
      "\(adjective) vision transformer, 16-pixel patches, layer norm", classes: 1000, inputSize: 224
    ) { configuration throws(TTAError) in try graph(size, postNorm: false, epsilon: 1e-6, configuration) }
  }

  private static func graph(
    _ size: Size, postNorm: Bool, epsilon: Float, _ configuration: ArchitectureConfiguration
  ) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution("patch_embed.proj", x, filters: size.width, kernel: size.patch, stride: size.patch, bias: true)
    x = try net.layer("patch_embed.flatten", FlattenToTokens(), x)
    x = try net.token("cls_token", PrependToken(), x, shape: [1, 1, size.width])
    x = try net.token("pos_embed", AddParameter(), x, shape: [1, net.shape(x)[0], size.width])
    for block in 0..<size.depth {
      let name = "blocks.\(block)"
      x =
        try postNorm
        ? postNormBlock(name, x, size, epsilon: epsilon, &net) : preNormBlock(name, x, size, epsilon: epsilon, &net)
    }
    if postNorm {
      x = try net.layer("token", SelectToken(), x)
      x = try net.layerNorm("norm", x, epsilon: epsilon)
    } else {
      x = try net.layerNorm("norm", x, epsilon: epsilon)
      x = try net.layer("token", SelectToken(), x)
    }
    _ = try net.linear("head", x, outputs: configuration.classes)
    return net.build()
  }

  private static func attention(_ name: String, _ input: Int, _ size: Size, _ net: inout NetworkBuilder) throws(TTAError) -> Int {
    var x = try net.linear(name + ".qkv", input, outputs: 3 * size.width)
    x = try net.layer(name + ".heads", Attention(heads: size.heads), x)
    return try net.linear(name + ".proj", x, outputs: size.width)
  }
  private static func perceptron(
    _ name: String, _ input: Int, _ size: Size, _ function: Activation.Function, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    var x = try net.linear(name + ".fc1", input, outputs: size.hidden)
    x = try net.activation(name + ".act", x, function)
    return try net.linear(name + ".fc2", x, outputs: size.width)
  }
  private static func preNormBlock(
    _ name: String, _ input: Int, _ size: Size, epsilon: Float, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    var x = try attention(name + ".attn", try net.layerNorm(name + ".norm1", input, epsilon: epsilon), size, &net)
    let middle = try net.add(name + ".add1", input, x)
    x = try perceptron(name + ".mlp", try net.layerNorm(name + ".norm2", middle, epsilon: epsilon), size, .gelu, &net)
    return try net.add(name + ".add2", middle, x)
  }
  private static func postNormBlock(
    _ name: String, _ input: Int, _ size: Size, epsilon: Float, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    var x = try attention(name + ".attn", input, size, &net)
    let middle = try net.layerNorm(name + ".norm1", try net.add(name + ".add1", input, x), epsilon: epsilon)
    x = try perceptron(name + ".mlp", middle, size, .relu, &net)
    return try net.layerNorm(name + ".norm2", try net.add(name + ".add2", middle, x), epsilon: epsilon)
  }
}
