// What a weight file does not say by itself: architecture, preprocessing, classes, special norm layers.

public import Engine
import Foundation

/// Architecture, preprocessing and class names of a model. Each field may be unknown: the loader never guesses.
public struct ModelDescription: Codable, Hashable, Sendable {
  /// A name that `Architecture.named` knows.
  public var architecture: String?
  /// Constants of the input normalisation, per channel, for images in 0…1.
  public var mean: [Float]?, deviation: [Float]?
  /// Height and width of the network's input, in pixels.
  public var inputSize: Int?
  /// Length of the short side before the centre crop, in pixels.
  public var resize: Int?
  /// `bilinear`, `bicubic` or `box`.
  public var interpolation: String?
  /// Names of the classes.
  public var classes: [String]?
  /// Kind of the norm layers that the weights were trained with, where it is not the architecture's own.
  public var norm: Norm?

  /// Norm layers that an architecture can be trained with in the place of its own.
  public enum Norm: String, Codable, Sendable, CaseIterable {
    /// Instance-aware batch norm, NOTE's.
    case instanceAware = "instance-aware"
  }

  /// Nothing known.
  public init() {}

  private enum Key: String, CaseIterable {
    case architecture = "tta.architecture", mean = "tta.mean", deviation = "tta.std", inputSize = "tta.input_size"
    case resize = "tta.resize", interpolation = "tta.interpolation", classes = "tta.classes", norm = "tta.norm"
  }

  /// What the metadata of a safetensors file says. Throws for text that is not what its key promises.
  public init(metadata: [String: String], path: String) throws(TTAError) {
    func decode<T: Decodable>(_ key: Key, _ type: T.Type, _ expected: String) throws(TTAError) -> T? {
      guard let text = metadata[key.rawValue] else { return nil }
      do { return try JSONDecoder().decode(T.self, from: Data(text.utf8)) } catch {
        throw TTAError(
          .invalidData, "\(path): metadata \(key.rawValue): expected \(expected), got \(text)",
          hint: "write the file again with tta convert")
      }
    }
    architecture = metadata[Key.architecture.rawValue].map(Self.unquoted)
    interpolation = metadata[Key.interpolation.rawValue].map(Self.unquoted)
    mean = try decode(.mean, [Float].self, "a list of numbers")
    deviation = try decode(.deviation, [Float].self, "a list of numbers")
    inputSize = try decode(.inputSize, Int.self, "a number of pixels")
    resize = try decode(.resize, Int.self, "a number of pixels")
    classes = try decode(.classes, [String].self, "a list of names")
    guard let kind = metadata[Key.norm.rawValue] else { return }
    norm = Norm(rawValue: kind)
    guard norm != nil else {
      throw TTAError(
        .invalidData,
        "\(path): metadata \(Key.norm.rawValue): expected \(Norm.allCases.map(\.rawValue).joined(separator: ", ")), got \(kind)",
        hint: "a newer version may have written the file")
    }
  }
  private static func unquoted(_ text: String) -> String {
    text.count > 1 && text.hasPrefix("\"") && text.hasSuffix("\"") ? String(text.dropFirst().dropLast()) : text
  }

  /// As metadata of a safetensors file: JSON text per key, names unquoted.
  public var metadata: [String: String] {
    func json(_ value: some Encodable) -> String? { (try? JSONEncoder().encode(value)).map { String(decoding: $0, as: UTF8.self) } }
    var result: [String: String] = [:]
    result[Key.architecture.rawValue] = architecture
    result[Key.interpolation.rawValue] = interpolation
    result[Key.norm.rawValue] = norm?.rawValue
    if let mean { result[Key.mean.rawValue] = json(mean) }
    if let deviation { result[Key.deviation.rawValue] = json(deviation) }
    if let inputSize { result[Key.inputSize.rawValue] = json(inputSize) }
    if let resize { result[Key.resize.rawValue] = json(resize) }
    if let classes { result[Key.classes.rawValue] = json(classes) }
    return result
  }
  /// This description with the known fields of another in front.
  public func overridden(by other: ModelDescription) -> ModelDescription {
    var result = self
    result.architecture = other.architecture ?? architecture
    result.mean = other.mean ?? mean
    result.deviation = other.deviation ?? deviation
    result.inputSize = other.inputSize ?? inputSize
    result.resize = other.resize ?? resize
    result.interpolation = other.interpolation ?? interpolation
    result.classes = other.classes ?? classes
    result.norm = other.norm ?? norm
    return result
  }
}
