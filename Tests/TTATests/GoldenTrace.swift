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
    var lr: Float?, lr_adapter: Float?, alpha: Float?, optimizer: String?, optimizer_momentum: Float?
    var emits: String?, loss: String?, teacher_start: String?
    var d_margin: Float?, fisher_weight: Float?, reset_every: Int?, plpd_threshold: Float?, poly_eps: Float?, q: Float?
    var keep: Int?, batch_size_divisor: Int?, threshold: Float?, scales_low_high: Scales?
    var source_counts: [Float]?, prior_rate: Float?
    var momentum_adapter: Float?, images: Int?, views_per_image: Int?
    /// Two numbers, or a sentence.
    enum Scales: Decodable {
      case fixed([Float]), computed
      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        self = (try? container.decode([Float].self)).map { .fixed($0) } ?? .computed
      }
    }
  }
  struct Tolerances: Decodable {
    var logits_abs_per_batch: [Float]
    var loss_abs: Float, parameters_first_abs: Float, parameters_last_abs: Float
    var prediction_flips_allowed: Int, mask_flips_allowed: Int
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
