// Which model.

import ArgumentParser
import CBuiltinModel
import Engine
import Foundation
import ModelIO
import Safetensors
import TTA
import Vision

struct ModelOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "A built-in model (shapes), a .safetensors file, a PyTorch checkpoint (.pt, .pth), or an .onnx file.", valueName: "model"))
  var model: String?
  @Option(name: .long, help: ArgumentHelp("Which dictionary of a PyTorch checkpoint holds the weights.", valueName: "key"))
  var checkpointKey: String?
  @Option(name: .long, help: "The architecture, when the file does not say (tta list architectures).")
  var architecture: String?
  @Option(name: .long, help: ArgumentHelp("Means of the input normalisation for images in 0…1.", valueName: "r,g,b"))
  var mean: String?
  @Option(name: .long, help: ArgumentHelp("Standard deviations of the input normalisation.", valueName: "r,g,b"))
  var std: String?
  @Option(name: .long, help: "Height and width of the network's input, in pixels.")
  var inputSize: Int?
  @Option(name: .long, help: "Length of the short side before the centre crop, in pixels.")
  var resize: Int?
  @Option(name: .long, help: "bilinear, bicubic or box.")
  var interpolation: String?
  @Option(name: .long, help: ArgumentHelp("A text file with one class name per line.", valueName: "file"))
  var classes: String?

  /// Flags over the `model:` section of a configuration.
  func load(_ section: OptionTree? = nil) throws -> LoadedModel {
    try check(section)
    let description = try overrides(section)
    guard let path = model ?? section?["path"]?.text ?? section?.text else {
      throw TTAError(.usage, "no model: expected --model", hint: "tta adapt … --model shapes uses the built-in one")
    }
    if path == "shapes" { return try BuiltinModel.load(overrides: description) }
    var file = ModelDescription()
    let ending = (WeightFile.endings + [ModelLoader.onnxEnding]).filter { path.hasSuffix($0) }.max { $0.count < $1.count } ?? ""
    guard !ending.isEmpty || FileManager.default.fileExists(atPath: path) else {
      throw TTAError(.missingInput, "\"\(path)\" does not exist", hint: "built-in models: shapes; others are files")
    }
    let side = path.dropLast(ending.count) + ".tta.yaml"
    if FileManager.default.fileExists(atPath: String(side)) { file = try describe(ConfigurationFile.read(String(side))) }
    let key = checkpointKey ?? section?["checkpoint_key"]?.text
    let loaded = try ModelLoader.load(path: path, checkpointKey: key, overrides: file.overridden(by: description))
    if loaded.notes.contains(ModelLoader.foldedNorms) { Console.error("note: \(path): \(ModelLoader.foldedNorms)") }
    return loaded
  }
  /// Flags over the `model:` section, as a section again.
  func section(_ section: OptionTree?) -> OptionTree {
    var result = section ?? .keys([:])
    if case .text(let path) = result { result = .keys(["path": .text(path)]) }
    func numbers(_ text: String?) -> OptionTree? {
      text.map { .list($0.split(separator: ",").map { OptionTree(scalar: $0.trimmingCharacters(in: .whitespaces)) }) }
    }
    let given: [(String, OptionTree?)] = [
      ("path", model.map { .text($0) }), ("checkpoint_key", checkpointKey.map { .text($0) }),
      ("architecture", architecture.map { .text($0) }), ("mean", numbers(mean)), ("std", numbers(std)),
      ("input_size", inputSize.map { .number(Double($0)) }), ("resize", resize.map { .number(Double($0)) }),
      ("interpolation", interpolation.map { .text($0) }), ("classes", classes.map { .text($0) }),
    ]
    for (key, value) in given { if let value { result[key] = value } }
    return result
  }
  private func check(_ section: OptionTree?) throws {
    guard case .keys(let keys)? = section else { return }
    let known = ["path", "checkpoint_key", "architecture", "mean", "std", "input_size", "resize", "interpolation", "classes"]
    for key in keys.keys.sorted() where !known.contains(key) {
      throw TTAError(
        .usage, "model: unknown key \"\(key)\"", hint: "nearest keys: \(NearestNames.nearest(to: key, in: known).joined(separator: ", "))")
    }
  }
  private func overrides(_ section: OptionTree?) throws -> ModelDescription {
    var result = try section.map(describe) ?? ModelDescription()
    result.architecture = architecture ?? result.architecture
    result.mean = try mean.map { try Self.numbers($0, "--mean") } ?? result.mean
    result.deviation = try std.map { try Self.numbers($0, "--std") } ?? result.deviation
    result.inputSize = inputSize ?? result.inputSize
    result.resize = resize ?? result.resize
    result.interpolation = interpolation ?? result.interpolation
    if let names = try classNames() { result.classes = names }
    return result
  }
  /// The lines of the file of class names; nil where none is given.
  func classNames() throws -> [String]? { try classes.map { try Self.lines(of: $0) } }
  private func describe(_ section: OptionTree) throws -> ModelDescription {
    var result = ModelDescription()
    func list(_ key: String) throws -> [Float]? {
      guard let value = section[key] else { return nil }
      guard case .list(let items) = value, items.count == 3, items.allSatisfy({ $0.number != nil }) else {
        throw TTAError(.usage, "model.\(key): expected three numbers, got \(value)", hint: "for example [0.485, 0.456, 0.406]")
      }
      return items.compactMap { $0.number.map(Float.init) }
    }
    result.architecture = section["architecture"]?.text
    (result.mean, result.deviation) = (try list("mean"), try list("std"))
    result.inputSize = try section.wholeNumber("input_size", in: "model")
    result.resize = try section.wholeNumber("resize", in: "model")
    result.interpolation = section["interpolation"]?.text
    switch section["classes"] {
    case .list(let names): result.classes = names.compactMap(\.text)
    case .text(let file): result.classes = try Self.lines(of: file)
    default: break
    }
    return result
  }
  static func numbers(_ text: String, _ option: String) throws -> [Float] {
    let numbers = text.split(separator: ",").map { Float($0.trimmingCharacters(in: .whitespaces)) }
    guard numbers.count == 3, numbers.allSatisfy({ $0?.isFinite == true }) else {
      throw TTAError(.usage, "\(option) \(text): expected three numbers", hint: "for example \(option) 0.485,0.456,0.406")
    }
    return numbers.compactMap { $0 }
  }
  private static func lines(of path: String) throws -> [String] {
    try MappedFile(path: path).text().split(separator: "\n").map(String.init)
  }
}

/// The classifier that the binary carries.
enum BuiltinModel {
  static func load(overrides: ModelDescription = ModelDescription()) throws -> LoadedModel {
    let bytes = UnsafeRawBufferPointer(start: builtin_model_bytes(), count: builtin_model_byte_count())
    return try ModelLoader.load(SafetensorsFile(bytes: bytes, name: "shapes"), overrides: overrides)
  }
}

extension LoadedModel {
  /// How pictures become inputs of this model.
  func preprocessing() throws -> Preprocessing {
    let size = description.inputSize ?? 32
    var interpolation = Interpolation.bilinear
    if let name = description.interpolation {
      guard let known = Interpolation(rawValue: name) else {
        throw TTAError(
          .usage, "unknown interpolation \"\(name)\"", hint: "one of \(Interpolation.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      interpolation = known
    }
    return Preprocessing(
      resize: description.resize.map { .shortSide($0) }, interpolation: interpolation, centerCrop: description.resize != nil,
      inputHeight: size,
      inputWidth: size, mean: description.mean ?? [0, 0, 0], std: description.deviation ?? [1, 1, 1])
  }
  /// The name of a class, or its number.
  func className(_ index: Int) -> String {
    guard let names = description.classes, index < names.count else { return String(index) }
    return names[index]
  }
}
