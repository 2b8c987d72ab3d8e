// The traces of a golden folder and the strategies they stand for.

import Engine
import Foundation
import ModelIO
import Safetensors
import TTA
import TTATestKit

/// `manifest.json` of a golden folder.
struct GoldenManifest: Decodable {
  struct Hyper: Decodable {
    var lr: Float?, momentum: Float?, alpha: Float?, optimizer: String?
    var emits: String?
  }
  struct Tolerances: Decodable {
    var logits_abs_per_batch: [Float]
    var loss_abs: Float, parameters_first_abs: Float, parameters_last_abs: Float
    var prediction_flips_allowed: Int
  }
  struct Method: Decodable {
    var method: String, file: String
    var hyper: Hyper
    var adapted: [String]
    var error_percent: Double
    var tolerance: Tolerances
  }
  struct Trace: Decodable {
    var trace: String, model: String, weights: String, images: String
    var first_image: Int, last_image_exclusive: Int
    var batch_sizes: [Int]
    var mean: [Float], std: [Float]
    var methods: [Method]
  }
  var traces: [Trace]

  static func load() throws -> (manifest: GoldenManifest, folder: URL)? {
    guard let folder = SharedFolders.golden else { return nil }
    let data = try Data(contentsOf: folder.appendingPathComponent("manifest.json"))
    return (try JSONDecoder().decode(GoldenManifest.self, from: data), folder)
  }
}

extension GoldenManifest.Method {
  /// The strategy that the method stands for; nil where this library has none.
  func strategy() -> (any AdaptationStrategy)? {
    switch method {
    case "source": return Source()
    case "bn1": return BatchNormAdaptation()
    case "bn_alpha", "bn_alpha_b":
      var options = AlphaBatchNorm.Options()
      options.alpha = hyper.alpha ?? options.alpha
      return AlphaBatchNorm(options)
    case "tent_adam", "tent_sgd", "tent_nesterov":
      var options = Tent.Options()
      options.update = UpdateOptions(
        hyper.optimizer == "adam" ? .adam : .sgd, learningRate: hyper.lr ?? 0, momentum: hyper.momentum ?? 0,
        nesterov: hyper.optimizer == "nesterov")
      return Tent(options)
    default: return nil
    }
  }
}

extension GoldenManifest.Trace {
  /// The model of the trace, and its batches with their labels.
  func load(golden: URL, weights: URL) throws -> (model: Model, batches: [Batch], labels: [Int]) {
    var description = ModelDescription()
    description.architecture = model
    (description.mean, description.deviation) = (mean, std)
    let loaded = try ModelLoader.load(path: weights.appendingPathComponent(self.weights).path, overrides: description)
    let file = try SafetensorsFile(path: golden.appendingPathComponent(images).path)
    let shape = try file.entry("images").shape
    let bytes = try file.bytes("images")
    let labels = try file.integers("labels")
    var batches: [Batch] = []
    var next = first_image
    for size in batch_sizes {
      batches.append(Batch(Self.images(bytes, shape, next..<next + size), index: next))
      next += size
    }
    return (loaded.model, batches, Array(labels[first_image..<last_image_exclusive]))
  }
  /// Bytes in rows of pixels to channels of floats in 0…1.
  private static func images(_ bytes: UnsafeRawBufferPointer, _ shape: Shape, _ rows: Range<Int>) -> Tensor {
    let (height, width, channels) = (shape[1], shape[2], shape[3])
    var values: [Float] = []
    values.reserveCapacity(rows.count * height * width * channels)
    for image in rows {
      for c in 0..<channels {
        for i in 0..<height * width { values.append(Float(bytes[(image * height * width + i) * channels + c]) / 255) }
      }
    }
    return Tensor(values, shape: [rows.count, channels, height, width])
  }
}
