// Error tables of the released methods on CIFAR-10 ResNet-20, recorded with the reference implementation.

import Engine
import Evaluation
import Foundation
import ModelIO
import Safetensors
import Streams
import TTA
import TTATestKit
import Testing
import Vision

/// `golden/tables.json`: errors in percent by pass, stream order and method.
private struct ErrorTables: Decodable {
  struct Entry: Decodable { var per_corruption: [String: Double] }
  struct Pass: Decodable { var order: [String], results: [String: Entry] }
  var order: [String], published_corruptions: [String]
  var full_pass: [String: Entry]
  var short_pass: Pass, stored_pass: Pass
}

@Suite(.serialized) struct ErrorTableTests {
  /// The methods of the tables with the options that the tables name.
  private static let methods: [String: String] = [
    "source": "source", "bn1": "batch-norm", "tent": "tent:optimizer=adam:learning_rate=0.001",
    "eta": "eta:optimizer=adam:learning_rate=0.001:factor=0.4:margin=0.4",
    "sar": "sar:optimizer=sgd:learning_rate=0.01:rho=0.05:factor=0.4:level=0.2", "lame": "lame:affinity=knn:neighbors=5",
    "lame_rbf": "lame:affinity=rbf:neighbors=5", "roid": "roid:optimizer=adam:learning_rate=0.001",
    "rotta": "rotta:learning_rate=0.001:memory=64:alpha=0.05:nu=0.001",
    "cotta": "cotta:learning_rate=0.001:threshold=0.92:views=32:restore=0.01",
    "woc_tent": "tent:filter=wisdom-of-crowds",
  ]
  /// Methods that draw random views: the tables hold means of two seeds.
  private static let random: Set<String> = ["roid", "rotta", "cotta"]

  private func strategy(_ method: String) throws -> any AdaptationStrategy {
    let parts = try #require(Self.methods[method], "a method without a strategy: \(method)").split(separator: ":").map(String.init)
    var section = OptionTree.keys(["name": .text(parts[0])])
    for part in parts.dropFirst() {
      let pair = part.split(separator: "=").map(String.init)
      section[pair[0]] = OptionTree(scalar: pair[1])
    }
    return try Registry.builtIn.compose(section)
  }
  private func model(_ shared: URL) throws -> Model {
    var description = ModelDescription()
    (description.architecture, description.mean, description.deviation) = ("cifar-resnet20", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return try ModelLoader.load(
      path: shared.appendingPathComponent("data/weights/resnet20_cifar10.safetensors").path, overrides: description
    )
    .model
  }
  private func tables(_ golden: URL) throws -> ErrorTables {
    try JSONDecoder().decode(ErrorTables.self, from: Data(contentsOf: golden.appendingPathComponent("tables.json")))
  }
  /// Errors in percent per domain of one pass, the mean over the seeds.
  private func errors(
    _ method: String, _ model: Model, seeds: [UInt64], _ stream: (_ seed: UInt64) throws -> [(name: String, batches: [(Tensor, [Int])])]
  ) throws -> [String: Double] {
    let (program, executor) = (Program(model.graph), Executor())
    var result: [String: Double] = [:]
    for seed in seeds {
      var runtime = try AdaptationRuntime(program: program, source: model.parameters, strategy(method), seed: seed)
      for domain in try stream(seed) {
        var (wrong, count) = (0, 0)
        for (images, labels) in domain.batches {
          let predicted = try runtime.process(Batch(images, index: runtime.state.images), on: executor).labels
          wrong += zip(predicted, labels).count { $0 != $1 }
          count += labels.count
        }
        result[domain.name, default: 0] += 100 * Double(wrong) / Double(count) / Double(seeds.count)
      }
    }
    return result
  }
  /// Compares the named corruptions and their mean.
  private func compare(_ key: String, _ got: [String: Double], _ expected: [String: Double], each: Double, mean: Double) {
    let names = expected.keys.sorted().filter { got[$0] != nil }
    let (own, theirs) = (names.map { got[$0] ?? 0 }, names.map { expected[$0] ?? 0 })
    let (ownMean, theirMean) = (own.reduce(0, +) / Double(names.count), theirs.reduce(0, +) / Double(names.count))
    let distances = zip(own, theirs).map { $0 - $1 }
    let worst = distances.map { abs($0) }.max() ?? 0
    func text(_ value: Double) -> String { String(format: "%.2f", value) }
    print("\(key): mean \(text(ownMean)) against \(text(theirMean)), worst corruption \(text(worst)) apart")
    #expect(abs(ownMean - theirMean) <= mean + 1e-6, "\(key): mean \(ownMean), expected \(theirMean)")
    for (name, distance) in zip(names, distances) {
      #expect(abs(distance) <= each + 1e-6, "\(key): \(name): \(got[name] ?? 0), expected \(expected[name] ?? 0)")
    }
  }
  /// The recorded pictures of a corruption at severity 5, and their classes.
  private func recordedPictures(_ name: String, _ golden: URL) throws -> (images: Tensor, labels: [Int]) {
    let file = try SafetensorsFile(path: golden.appendingPathComponent("images/cifar_\(name)_5.safetensors").path)
    let (bytes, labels) = (try file.bytes("images"), try file.integers("labels"))
    let pictures = labels.indices.map { Image(width: 32, height: 32, pixels: Array(bytes[$0 * 3072..<($0 + 1) * 3072])) }
    return (ImageBatch.tensor(of: pictures), labels)
  }
  private func batches(of set: (images: Tensor, labels: [Int]), inOrderOf key: String) -> [(Tensor, [Int])] {
    let order = order(set.labels, of: key)
    return stride(from: 0, to: order.count, by: 200).map { start in
      let rows = Array(order[start..<min(order.count, start + 200)])
      return (set.images[rows], rows.map { set.labels[$0] })
    }
  }
  private func order(_ labels: [Int], of key: String) -> [Int] {
    key.hasPrefix("label_sorted/") ? labels.indices.sorted { (labels[$0], $0) < (labels[$1], $1) } : Array(labels.indices)
  }

  /// The two corruptions whose images are recorded: deterministic methods agree within half a point, a fifth in the mean.
  @Test func recordedImages() throws {
    guard let shared = SharedFolders.shared, let golden = SharedFolders.golden else { return print("skipped: no TTA_SHARED folder") }
    let (model, pass) = (try model(shared), try tables(golden).stored_pass)
    let recorded = try pass.order.map { name in
      let set = try recordedPictures(name, golden)
      return (name: name, images: set.images, labels: set.labels)
    }
    for (key, entry) in pass.results.sorted(by: { $0.key < $1.key }) {
      let method = String(key.split(separator: "/")[1])
      let isRandom = Self.random.contains(method)
      let got = try errors(method, model, seeds: isRandom ? [1, 2] : [1]) { _ in
        recorded.map { domain in
          (domain.name, batches(of: (domain.images, domain.labels), inOrderOf: key))
        }
      }
      compare(key, got, entry.per_corruption, each: isRandom ? 1.5 : 0.5, mean: isRandom ? 0.8 : 0.2)
    }
  }

  /// Whole passes, means of two seeds, several minutes: on recorded pictures where all 1,000 are given (gaussian noise and fog), on corruptions of our own
  /// draws otherwise; two and a half points per corruption, one in the mean, but for one entry that says why. Frost is left out without its photographs (`TTA_FROST`).
  @Test(.enabled(if: ProcessInfo.processInfo.environment["TTA_ERROR_TABLES"] != nil, "several minutes: set TTA_ERROR_TABLES=1"))
  func wholePasses() throws {
    guard let shared = SharedFolders.shared, let golden = SharedFolders.golden else { return print("skipped: no TTA_SHARED folder") }
    let frost = ProcessInfo.processInfo.environment["TTA_FROST"]
    let (model, tables) = (try model(shared), try tables(golden))
    let data = shared.appendingPathComponent("data/images/cifar10_test_lossless_1000")
    let images = try NumpyImages(path: data.path + ".npy", labels: data.path + "_labels.npy")
    let labels = images.labels ?? []
    let given = try Dictionary(
      uniqueKeysWithValues: ["gaussian_noise", "fog"].map { name in
        let set = try recordedPictures(name, golden)
        #expect(set.labels == labels, "\(name)")
        return (name, set)
      })
    let only = ProcessInfo.processInfo.environment["TTA_ERROR_TABLES_METHODS"].map { Set($0.split(separator: ",").map(String.init)) }
    func run(_ pass: String, _ names: [String], _ results: [String: ErrorTables.Entry]) throws {
      for (key, entry) in results.sorted(by: { $0.key < $1.key }) {
        let method = String(key.split(separator: "/")[1])
        guard only?.contains(method) ?? true else { continue }
        var got = try errors(method, model, seeds: [1, 2]) { seed in
          var options = DomainStream.Options()
          (options.seed, options.frostDirectory) = (seed, frost)
          let places = self.order(labels, of: key)
          let domains = names.map { Domain($0.replacingOccurrences(of: "_", with: "-"), severity: 5) }
          let stream = try DomainStream(
            images, segments: domains.map { .init(domain: $0, places: places) }, batchSize: 200, options: options)
          return try names.enumerated().map { number, name in
            if let set = given[name] { return (name, batches(of: set, inOrderOf: key)) }
            let batches = try (0..<stream.count).filter { $0 / (stream.count / names.count) == number }.map { try stream.batch(at: $0) }
            return (name, batches.map { ($0.images, $0.labels) })
          }
        }
        if frost == nil {
          got["frost"] = nil
          // RoTTA answers most of a domain of 1,000 images with the statistics of the one before: fog with those of frost.
          if method == "rotta" { got["fog"] = nil }
        }
        // LAME moves a whole batch of one class at once: over 12 draws of glass blur its error is 54.4 with a deviation of 1.15, and the table holds one
        // draw. On the same own pictures this and the reference give the same 55.1.
        let each = key == "label_sorted/lame" ? 3.5 : 2.5
        compare("\(pass), \(key)", got, entry.per_corruption, each: each, mean: 1)
      }
    }
    try run("full pass", tables.order, tables.full_pass)
    try run("short pass", tables.short_pass.order, tables.short_pass.results)
  }
}
