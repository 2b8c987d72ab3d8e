// Vision transformers.

import Engine

/// Dosovitskiy et al., ICLR 2021, with the names of timm or of torchvision: pre-norm blocks with GELU, or post-norm blocks with ReLU for the small
/// CIFAR network.
enum VisionTransformer {
  private struct Size { var width: Int, depth: Int, heads: Int, hidden: Int, patch: Int }

  static let members = [
    member("vit-tiny-patch16-224", "Tiny", Size(width: 192, depth: 12, heads: 3, hidden: 768, patch: 16)),
    member("vit-small-patch16-224", "Small", Size(width: 384, depth: 12, heads: 6, hidden: 1536, patch: 16)),
    member("vit-base-patch16-224", "Base", Size(width: 768, depth: 12, heads: 12, hidden: 3072, patch: 16)),
    Architecture(
      "vit-b-16", aliases: ["vit_b_16", "torchvision/vit_b_16"], "Base vision transformer with torchvision's names, layer norm",
      classes: 1000,
      inputSize: 224, olderNames: [(".mlp.linear_1.", ".mlp.0."), (".mlp.linear_2.", ".mlp.3.")]
    ) { configuration throws(TTAError) in
      try graph(Size(width: 768, depth: 12, heads: 12, hidden: 3072, patch: 16), .torchvision, epsilon: 1e-6, configuration)
    },
    Architecture(
      "vit-post-norm-cifar", aliases: ["vit_d128_l6_p4_cifar10"], "small vision transformer for CIFAR, post-norm blocks, layer norm",
      classes: 10,
      inputSize: 32
    ) { configuration throws(TTAError) in
      try graph(Size(width: 128, depth: 6, heads: 8, hidden: 256, patch: 4), .timm, postNorm: true, epsilon: 1e-5, configuration)
    },
  ]
  private static func member(_ name: String, _ adjective: String, _ size: Size) -> Architecture {
    let alias = name.replacing("-", with: "_")
    return Architecture(
      name, aliases: [alias, "timm/\(alias)", name.replacing("vit", with: "deit"), alias.replacing("vit", with: "deit")],
      "\(adjective) vision transformer, 16-pixel patches, layer norm", classes: 1000, inputSize: 224
    ) { configuration throws(TTAError) in try graph(size, .timm, epsilon: 1e-6, configuration) }
  }

  /// How published checkpoints call the layers.
  private struct Names {
    var patches: String, token: String, positions: String, norm: String, classifier: String
    var block: @Sendable (Int) -> String
    /// Norms, the two layers of attention with the prefix of the first one's parameters, and those of the perceptron, within a block.
    var norms: (String, String), attention: (String, String), prefix: String, perceptron: (String, String)

    static let timm = Names(
      patches: "patch_embed.proj", token: "cls_token", positions: "pos_embed", norm: "norm", classifier: "head",
      block: { "blocks.\($0)" }, norms: (".norm1", ".norm2"), attention: (".attn.qkv", ".attn.proj"), prefix: "",
      perceptron: (".mlp.fc1", ".mlp.fc2"))
    static let torchvision = Names(
      patches: "conv_proj", token: "class_token", positions: "encoder.pos_embedding", norm: "encoder.ln", classifier: "heads.head",
      block: { "encoder.layers.encoder_layer_\($0)" }, norms: (".ln_1", ".ln_2"),
      attention: (".self_attention", ".self_attention.out_proj"),
      prefix: "in_proj_", perceptron: (".mlp.0", ".mlp.3"))
  }

  private static func graph(
    _ size: Size, _ names: Names, postNorm: Bool = false, epsilon: Float, _ configuration: ArchitectureConfiguration
  ) throws(TTAError) -> Graph {
    var net = NetworkBuilder(inputSize: configuration.inputSize)
    var x = try net.normalizedImages(configuration)
    x = try net.convolution(names.patches, x, filters: size.width, kernel: size.patch, stride: size.patch, bias: true)
    x = try net.layer(names.patches + ".flatten", FlattenToTokens(), x)
    x = try net.token(names.token, PrependToken(), x, shape: [1, 1, size.width])
    x = try net.token(names.positions, AddParameter(), x, shape: [1, net.shape(x)[0], size.width])
    for index in 0..<size.depth {
      x = try block(names.block(index), x, size, names, postNorm: postNorm, epsilon: epsilon, &net)
    }
    if postNorm {
      x = try net.layer("token", SelectToken(), x)
      x = try net.layerNorm(names.norm, x, epsilon: epsilon)
    } else {
      x = try net.layerNorm(names.norm, x, epsilon: epsilon)
      x = try net.layer("token", SelectToken(), x)
    }
    _ = try net.linear(names.classifier, x, outputs: configuration.classes)
    return net.build()
  }

  private static func block(
    _ name: String, _ input: Int, _ size: Size, _ names: Names, postNorm: Bool, epsilon: Float, _ net: inout NetworkBuilder
  ) throws(TTAError) -> Int {
    func attention(_ input: Int) throws(TTAError) -> Int {
      var x = try net.linear(name + names.attention.0, input, outputs: 3 * size.width, prefix: names.prefix)
      x = try net.layer(name + ".heads", Attention(heads: size.heads), x)
      return try net.linear(name + names.attention.1, x, outputs: size.width)
    }
    func perceptron(_ input: Int) throws(TTAError) -> Int {
      let x = try net.linear(name + names.perceptron.0, input, outputs: size.hidden)
      return try net.linear(
        name + names.perceptron.1, try net.activation(name + ".act", x, postNorm ? .relu : .gelu), outputs: size.width)
    }
    func norm(_ layer: String, _ input: Int) throws(TTAError) -> Int { try net.layerNorm(name + layer, input, epsilon: epsilon) }
    if postNorm {
      let middle = try norm(names.norms.0, try net.add(name + ".add1", input, try attention(input)))
      return try norm(names.norms.1, try net.add(name + ".add2", middle, try perceptron(middle)))
    }
    let middle = try net.add(name + ".add1", input, try attention(try norm(names.norms.0, input)))
    return try net.add(name + ".add2", middle, try perceptron(try norm(names.norms.1, middle)))
  }
}
