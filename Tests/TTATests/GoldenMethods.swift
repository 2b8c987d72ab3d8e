// The strategy behind each method of a golden folder, with its recorded masks, permutations, views and files.

import Engine
import Foundation
import Safetensors
import TTA
import Testing
import Vision

/// What a trace gives a strategy beside the images.
struct GoldenRecording {
  let method: GoldenManifest.Method
  let trace: GoldenManifest.Trace
  let file: SafetensorsFile
  let model: Model

  private var hyper: GoldenManifest.Hyper { method.hyper }
  private func update(_ parameters: String) -> UpdateOptions {
    let kind: UpdateOptions.Kind = hyper.optimizer?.hasPrefix("adam") ?? true ? .adam : .sgd
    return UpdateOptions(
      kind, learningRate: hyper.lr ?? 0, momentum: hyper.optimizer_momentum ?? (hyper.optimizer == "plain_sgd" ? 0 : 0.9),
      nesterov: hyper.optimizer == "nesterov", parameters: parameters)
  }
  private func named(_ prefix: String) throws -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for name in file.names where name.hasPrefix(prefix) { result[String(name.dropFirst(prefix.count))] = try file.tensor(name) }
    return result
  }

  /// The strategy that the method stands for; nil where this library has none.
  func strategy() throws -> (any AdaptationStrategy)? {
    switch method.method {
    case "source": return Source()
    case "bn1": return BatchNormAdaptation()
    case "bn_alpha", "bn_alpha_b":
      var options = AlphaBatchNorm.Options()
      options.alpha = hyper.alpha ?? options.alpha
      return AlphaBatchNorm(options)
    case "tent_adam", "tent_sgd", "tent_nesterov", "come_tent", "woc_tent":
      var options = Tent.Options()
      options.update = update("norm")
      let tent = Tent(options)
      switch method.method {
      case "come_tent": return tent.minimizing(ConservativeEntropy())
      case "woc_tent": return tent.filtered(by: WisdomOfCrowds())
      default: return tent
      }
    case "eta", "eata", "rdumb": return try eata()
    case "sar":
      var options = SAR.Options()
      options.update = update("norm-but-last")
      return SAR(options)
    case "deyo": return try deyo()
    case "lame_knn": return LameStrategy(.init(.knn))
    case "lame_rbf": return LameStrategy(.init(.rbf))
    case "lame_linear": return LameStrategy(.init(.linear))
    case "t3a":
      var options = T3A.Options()
      options.keep = hyper.keep ?? options.keep
      return T3A(options)
    case "conjugate_poly0", "conjugate_poly6", "conjugate_poly6_post":
      var options = ConjugatePseudoLabels.Options()
      (options.update, options.epsilon) = (update("norm"), hyper.poly_eps ?? 0)
      options.answersAfterUpdate = method.method.hasSuffix("post")
      return ConjugatePseudoLabels(options)
    case "rpl":
      var options = RobustPseudoLabeling.Options()
      (options.update, options.q) = (update("norm"), hyper.q ?? 0)
      return RobustPseudoLabeling(options)
    case "shot_online":
      var options = SHOT.Options()
      options.update = update("all")
      return SHOT(options)
    case "roid", "roid_identity":
      var options = ROID.Options()
      (options.update, options.batchSize) = (update("norm"), hyper.batch_size_divisor ?? 0)
      options.consistency = method.method == "roid_identity"
      return ROID(options, augmentation: NoAugmentation())
    case "cmf", "cmf_identity":
      var options = CMF.Options()
      (options.update, options.batchSize) = (update("norm"), hyper.batch_size_divisor ?? 0)
      options.consistency = method.method == "cmf_identity"
      return CMF(options, augmentation: NoAugmentation())
    case "cotta_views4", "cotta_views4_mask", "cotta_plain_gain_mask", "cotta_plain_sgd", "cotta_views32_sgd": return try cotta()
    case "rotta":
      var options = RoTTA.Options()
      options.update = update("norm")
      return RoTTA(options, augmentation: Flip())
    case "memo":
      var options = MEMO.Options()
      (options.update, options.views) = (update("all"), hyper.views_per_image ?? 0)
      return MEMO(options, augmentation: RecordedViews(views: try views()))
    case "label_shift_tent":
      var options = Tent.Options()
      options.update = update("norm")
      let network = try LabelShiftNetwork(
        firstWeight: file.tensor("adapter.fc1.weight"), firstBias: file.tensor("adapter.fc1.bias"),
        secondWeight: file.tensor("adapter.fc2.weight"), secondBias: file.tensor("adapter.fc2.bias"),
        mapping: file.tensor("mapping").values)
      let mapping = LabelShiftNetwork.mapping(sourceCounts: hyper.source_counts ?? [])
      #expect(zip(mapping, network.mapping).allSatisfy { abs($0 - $1) < 1e-6 } && mapping.count == network.mapping.count)
      return Tent(options).with(LabelShiftAdapter(network, rate: hyper.prior_rate ?? 0))
    case "vida_fixed", "vida_loop": return try vida()
    default: return nil
    }
  }
  private func vida() throws -> any AdaptationStrategy {
    var options = ViDA.Options()
    options.update = update("all")
    (options.adapterLearningRate, options.adapterMomentum) = (hyper.lr_adapter ?? 0, hyper.momentum_adapter ?? 0)
    options.restore = 0
    var strategy = ViDA(options, values: try named("adapter."), augmentation: NoAugmentation())
    strategy.initialTeacherGain = 1.05
    if case .fixed(let factors)? = hyper.scales_low_high { strategy.fixedFactors = factors }
    return strategy
  }
  /// The recorded views of each image, one after the other.
  private func views() throws -> [Tensor] {
    let shape = try file.entry("views").shape
    let bytes = try file.bytes("views")
    let size = shape[2] * shape[3] * shape[4]
    return (0..<shape[0] * shape[1]).map { view in
      var values = [Float](repeating: 0, count: size)
      for i in 0..<size { values[i % 3 * shape[2] * shape[3] + i / 3] = Float(bytes[view * size + i]) / 255 }
      return Tensor(values, shape: [1, 3, shape[2], shape[3]])
    }
  }

  /// The batches of the stream as the method takes them.
  func batches(_ given: [Batch]) -> [Batch] {
    guard method.method == "memo", let first = given.first else { return given }
    return (0..<(hyper.images ?? 0)).map { Batch(first.images[[$0]], index: $0) }
  }
  /// A parameter's name in the graph.
  func ownName(_ name: String) -> String {
    for part in [".low_down", ".low_up", ".high_down", ".high_up"] where name.hasSuffix(part) {
      return name.dropLast(part.count) + ".vida" + part
    }
    return name
  }

  private func eata() throws -> any AdaptationStrategy {
    var options = EATA.Options()
    (options.update, options.margin) = (update("norm"), hyper.d_margin ?? 0)
    switch method.method {
    case "eata":
      return EATA(options, anchor: FisherAnchor(importance: try named("fisher."), strength: hyper.fisher_weight ?? 0))
    case "rdumb":
      var periodic = RDumb.Options()
      (periodic.base, periodic.every) = (options, hyper.reset_every ?? 0)
      return try RDumb(periodic)
    default: return EATA(options, anchor: nil)
    }
  }
  private func deyo() throws -> any AdaptationStrategy {
    var options = DeYO.Options()
    (options.update, options.patches.threshold) = (update("norm-but-last"), hyper.plpd_threshold ?? 0)
    var strategy = DeYO(options)
    var patches = PatchShuffle(options.patches)
    let rows = try file.integers("permutation")
    let width = try file.entry("permutation").shape[1]
    var next = 0
    patches.recorded = trace.batch_sizes.map { size in
      defer { next += size }
      return (next..<next + size).map { Array(rows[$0 * width..<($0 + 1) * width]) }
    }
    strategy.learner.filters[1] = patches
    return strategy
  }
  private func cotta() throws -> any AdaptationStrategy {
    var options = CoTTA.Options()
    options.update = update("all")
    options.teacher.threshold = hyper.threshold ?? 0
    options.teacher.symmetric = hyper.loss?.hasPrefix("symmetric") ?? false
    options.teacher.views = method.method == "cotta_views32_sgd" ? 32 : 4
    options.restore = 0
    let augmentation: any Augmentation = method.method == "cotta_views32_sgd" ? NoAugmentation() : FourViews()
    var strategy = CoTTA(options, augmentation: augmentation)
    var teacher = TeacherConsistency(options.teacher, augmentation: augmentation)
    teacher.initialTeacherGain = hyper.teacher_start == nil ? 1 : 1.05
    strategy.learner.objective = teacher
    if method.method.hasSuffix("mask") {
      var restore = StochasticRestore(.init(rate: 0))
      restore.recorded = try trace.batch_sizes.indices.map { try restoredPlaces(file.integers("restore_index.\($0)")) }
      strategy.learner.rules = [restore]
    }
    return strategy
  }
  /// From places in the manifest's order of parameters to places in the graph's.
  private func restoredPlaces(_ places: [Int]) throws -> [Int] {
    var starts: [(start: Int, info: ParameterInfo)] = []
    var total = 0
    for name in method.adapted {
      guard let info = model.graph.parameter(named: name) else { throw TTAError(.invalidData, "no parameter \(name)") }
      starts.append((total, info))
      total += info.shape.elementCount
    }
    var own: [ParameterID: Int] = [:]
    total = 0
    for (_, info) in starts.sorted(by: { $0.info.id < $1.info.id }) {
      own[info.id] = total
      total += info.shape.elementCount
    }
    return places.map { place in
      let (start, info) = starts.last { $0.start <= place } ?? starts[0]
      return (own[info.id] ?? 0) + place - start
    }
  }
}

/// The recorded views: the image, flipped, shifted right by two pixels, shifted down by two pixels, edges repeated.
struct FourViews: Augmentation {
  func view(_ number: Int, of images: Tensor, using random: inout RandomSource, on executor: Executor) -> Tensor {
    let (height, width) = (images.shape[2], images.shape[3])
    let values = images.values
    return Tensor(
      values.indices.map { i in
        let (x, y, plane) = (i % width, i / width % height, i / (width * height) * width * height)
        switch number % 4 {
        case 1: return values[plane + y * width + width - 1 - x]
        case 2: return values[plane + y * width + max(0, x - 2)]
        case 3: return values[plane + max(0, y - 2) * width + x]
        default: return values[i]
        }
      }, shape: images.shape)
  }
}

/// Left and right exchanged.
struct Flip: Augmentation {
  func view(_ number: Int, of images: Tensor, using random: inout RandomSource, on executor: Executor) -> Tensor {
    FourViews().view(1, of: images, using: &random, on: executor)
  }
}

/// Recorded views; the generator's position counts them.
struct RecordedViews: Augmentation {
  let views: [Tensor]
  func view(_ number: Int, of images: Tensor, using random: inout RandomSource, on executor: Executor) -> Tensor {
    let place = Int(random.position)
    _ = random.next()
    return views[place]
  }
}
