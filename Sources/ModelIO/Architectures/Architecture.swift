// Architectures by name.

public import Engine

/// What an architecture is built for.
public struct ArchitectureConfiguration: Hashable, Sendable {
  /// Number of classes.
  public var classes: Int
  /// Height and width of images, in pixels.
  public var inputSize: Int
  /// Constants of the input normalisation, per channel, for images in 0…1.
  public var mean: [Float], deviation: [Float]
  /// A configuration; no normalisation unless given.
  public init(classes: Int, inputSize: Int, mean: [Float] = [0, 0, 0], deviation: [Float] = [1, 1, 1]) {
    (self.classes, self.inputSize, self.mean, self.deviation) = (classes, inputSize, mean, deviation)
  }
}

/// A family member by name: how its graph is built.
public struct Architecture: Sendable {
  /// `cifar-resnet20`.
  public let name: String
  /// Other spellings: torchvision's, timm's.
  public let aliases: [String]
  /// One sentence for `tta list architectures`.
  public let summary: String
  /// What the published weights were made for.
  public let defaultClasses: Int, defaultInputSize: Int
  /// Beginnings of tensor names that published checkpoints carry and no forward reads.
  private let ignored: [String]
  /// Parts of names in older checkpoints, with those that stand for them now.
  let olderNames: [(old: String, new: String)]
  private let make: @Sendable (ArchitectureConfiguration) throws(TTAError) -> Graph

  init(
    _ name: String, aliases: [String] = [], _ summary: String, classes: Int, inputSize: Int, ignored: [String] = [],
    olderNames: [(old: String, new: String)] = [], _ make: @escaping @Sendable (ArchitectureConfiguration) throws(TTAError) -> Graph
  ) {
    (self.name, self.aliases, self.summary, defaultClasses, defaultInputSize) = (name, aliases, summary, classes, inputSize)
    (self.ignored, self.olderNames, self.make) = (ignored, olderNames, make)
  }
  /// Whether a tensor of a checkpoint plays no part in the network.
  func ignores(_ name: String) -> Bool { ignored.contains { name.hasPrefix($0) } }
  /// The graph; throws when the input is too small for the network.
  public func graph(_ configuration: ArchitectureConfiguration) throws(TTAError) -> Graph { try make(configuration) }

  /// All of them, in the order of the documentation.
  public static let all: [Architecture] =
    [
      CifarResNet.members, WideResNet.members, CifarResNet18.members, ResNeXt29.members, ResNet26.members, ResNet.members,
      MobileNetV1.members, InvertedResiduals.members, VGG.members, DenseNet.members, ConvNeXt.members,
      VisionTransformer.members,
    ].flatMap { $0 }

  /// One by name or alias; throws with the nearest names.
  public static func named(_ name: String) throws(TTAError) -> Architecture {
    if let found = all.first(where: { $0.name == name || $0.aliases.contains(name) }) { return found }
    let near = NearestNames.nearest(to: name, in: all.flatMap { [$0.name] + $0.aliases })
    throw TTAError(
      .usage, "unknown architecture \"\(name)\"", hint: "nearest names: \(near.joined(separator: ", ")); tta list architectures shows all")
  }
}
