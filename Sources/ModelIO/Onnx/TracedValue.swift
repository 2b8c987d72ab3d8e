// Values of an ONNX graph while it is followed from the images to the logits.
//
// Shapes of ONNX have a batch axis; graphs here are those of one image. So a value is known by how its axes are made of the batch and of runs over
// one image's values in memory: transposing, slicing, reshaping and repeating then move no data, and arithmetic on shapes is done at import.

import Engine

/// A number that may grow with the batch: fixed + perImage · number of images.
struct Extent: Hashable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  var fixed: Int
  var perImage: Int

  init(_ fixed: Int, perImage: Int = 0) { (self.fixed, self.perImage) = (fixed, perImage) }
  init(integerLiteral value: Int) { self.init(value) }
  /// The number of images.
  static let batch = Extent(0, perImage: 1)

  var isFixed: Bool { perImage == 0 }
  var description: String { isFixed ? String(fixed) : (perImage == 1 ? "batch" : "\(perImage)·batch") + (fixed == 0 ? "" : "+\(fixed)") }

  static func + (left: Extent, right: Extent) -> Extent { Extent(left.fixed &+ right.fixed, perImage: left.perImage &+ right.perImage) }
  static func - (left: Extent, right: Extent) -> Extent { Extent(left.fixed &- right.fixed, perImage: left.perImage &- right.perImage) }
  /// nil for the product of two numbers that both grow, and beyond 64 bits.
  static func * (left: Extent, right: Extent) -> Extent? {
    guard left.isFixed || right.isFixed else { return nil }
    let products = [(left.fixed, right.fixed), (left.fixed, right.perImage), (left.perImage, right.fixed)].map {
      $0.multipliedReportingOverflow(by: $1)
    }
    guard products.allSatisfy({ !$0.overflow }) else { return nil }
    return Extent(products[0].partialValue, perImage: products[1].partialValue &+ products[2].partialValue)
  }
  /// Rounded towards zero; nil where the result would not be a number of this form.
  static func / (left: Extent, right: Extent) -> Extent? {
    guard right.isFixed, right.fixed != 0, left.isFixed || (left.fixed % right.fixed == 0 && left.perImage % right.fixed == 0) else {
      guard !right.isFixed, right.fixed == 0, left.fixed == 0, left.perImage % right.perImage == 0 else { return nil }
      return Extent(left.perImage / right.perImage)
    }
    return Extent(left.fixed / right.fixed, perImage: left.perImage / right.fixed)
  }
}

extension [Extent] {
  /// The product; nil where two numbers grow or the product is out of range.
  var product: Extent? { reduce(Extent?.some(1)) { result, length in result.flatMap { $0 * length } } }
  /// As whole numbers; nil where one grows.
  var fixed: [Int]? { allSatisfy(\.isFixed) ? map(\.fixed) : nil }
  var text: String { "[" + map(\.description).joined(separator: ", ") + "]" }
}

/// A value that does not depend on the images.
struct TracedConstant {
  enum Content {
    /// Numbers for the axes that do not grow with the batch; along those that do they are repeated.
    case numbers(Tensor)
    /// Whole numbers, row-major.
    case integers([Extent])
    /// offset + Σ step · index: the numbers of a range, also one as long as the batch.
    case grid(offset: Int, steps: [Int])
  }
  var lengths: [Extent]
  var content: Content
  /// The name under which the file knows these numbers: an initialiser's, or that of a value computed from constants alone.
  var origin: String?

  init(_ tensor: Tensor, origin: String? = nil) {
    (lengths, content, self.origin) = (tensor.shape.dimensions.map { Extent($0) }, .numbers(tensor), origin)
  }
  init(_ integers: [Extent], lengths: [Extent]) { (self.lengths, content) = (lengths, .integers(integers)) }
  init(integers: [Int], shape: Shape) { self.init(integers.map { Extent($0) }, lengths: shape.dimensions.map { Extent($0) }) }
  init(grid offset: Int, steps: [Int], lengths: [Extent]) { (self.lengths, content) = (lengths, .grid(offset: offset, steps: steps)) }

  /// The numbers, whole numbers included; nil where one grows with the batch.
  var numbers: Tensor? {
    switch content {
    case .numbers(let tensor): return tensor
    case .integers(let values):
      guard let values = values.fixed, let lengths = lengths.fixed else { return nil }
      return Tensor(values.map { Float($0) }, shape: Shape(lengths))
    case .grid: return nil
    }
  }
  /// The whole numbers of a list or a single one.
  var integers: [Extent]? {
    switch content {
    case .integers(let values): values
    case .numbers, .grid: nil
    }
  }
  /// The number of a constant that holds one.
  var scalar: Float? {
    guard let tensor = numbers, tensor.elementCount == 1 else { return nil }
    return tensor.values[0]
  }
  var isInteger: Bool {
    if case .numbers = content { return false }
    return true
  }
}

/// A piece of an axis: the batch, or values of one image at equal distances.
enum AxisPart: Hashable {
  case batch
  case run(length: Int, step: Int)
}

/// A value that depends on the images: values of a node's output, seen along axes.
struct ImageView {
  /// The node, or `Graph.images`.
  var node: Int
  /// Position of the first value in one image's values.
  var offset = 0
  /// The pieces of each axis, outermost first; none for an axis of length 1.
  var axes: [[AxisPart]]
  /// A factor that is still to be applied.
  var scale: Float = 1

  /// The values of a node in order, under one image's shape; `leading` is the axis in front.
  init(node: Int, leading: [AxisPart]?, shape: [Int]) {
    self.node = node
    axes = (leading.map { [$0] } ?? []) + Self.contiguous(shape.map { [$0] })
  }
  init(node: Int, offset: Int, axes: [[AxisPart]]) { (self.node, self.offset, self.axes) = (node, offset, axes) }

  /// Axes of runs that follow each other in memory without gaps, by the lengths of their runs.
  private static func contiguous(_ lengths: [[Int]]) -> [[AxisPart]] {
    var step = 1
    return lengths.reversed().map { axis in
      axis.reversed().filter { $0 > 1 }.map { length in
        defer { step *= length }
        return AxisPart.run(length: length, step: step)
      }.reversed()
    }.reversed()
  }
  /// The same axes over values that lie in memory in this view's order.
  func gathered(in node: Int) -> ImageView {
    var step = 1
    let axes: [[AxisPart]] = axes.reversed().map { axis in
      axis.reversed().map { part in
        guard case .run(let length, _) = part else { return part }
        defer { step *= length }
        return .run(length: length, step: step)
      }.reversed()
    }.reversed()
    return ImageView(node: node, offset: 0, axes: axes)
  }

  /// Lengths of the axes.
  var lengths: [Extent] {
    axes.map { axis in
      let count = axis.reduce(1) { if case .run(let length, _) = $1 { $0 * length } else { $0 } }
      return axis.contains(.batch) ? Extent(0, perImage: count) : Extent(count)
    }
  }
  /// Lengths of the axes within one image.
  var imageLengths: [Int] { lengths.map { max($0.fixed, $0.perImage) } }
  /// Values of one image.
  var count: Int { imageLengths.reduce(1, *) }
  /// The runs in order, neighbours joined where they follow each other in memory.
  var runs: [(length: Int, step: Int)] {
    var result: [(length: Int, step: Int)] = []
    for case .run(let length, let step) in axes.joined() where length > 1 {
      if let last = result.last, last.step == length * step {
        result[result.count - 1] = (last.length * length, step)
      } else {
        result.append((length, step))
      }
    }
    return result
  }
  /// Whether the values are all of the node's, in order.
  func isWhole(of count: Int) -> Bool { offset == 0 && self.count == count && (runs.isEmpty || runs.count == 1 && runs[0].step == 1) }
  /// Whether each of the node's values occurs once, in any order.
  func isPermutation(of count: Int) -> Bool {
    guard offset == 0, self.count == count else { return false }
    var next = 1
    for run in runs.sorted(by: { $0.step < $1.step }) {
      guard run.step == next else { return false }
      next *= run.length
    }
    return true
  }

  /// Axes in another order.
  func transposed(_ order: [Int]) -> ImageView {
    var result = self
    result.axes = order.map { axes[$0] }
    return result
  }
  /// An axis of length 1 in front of the given place.
  func inserting(at place: Int) -> ImageView {
    var result = self
    result.axes.insert([], at: place)
    return result
  }
  /// Every `stride`-th of an axis' values; nil where the axis is made of several pieces or of the batch.
  func sliced(_ axis: Int, from start: Int, count: Int, stride: Int) -> ImageView? {
    var result = self
    guard axes[axis].count == 1, case .run(_, let step) = axes[axis][0] else {
      return axes[axis].isEmpty && start == 0 && count == 1 ? self : nil
    }
    result.offset += start * step
    result.axes[axis] = count == 1 ? [] : [.run(length: count, step: step * stride)]
    return result
  }
  /// The same values under other axes; nil where that would tear an axis of the batch apart. `declaredBatch`: the batch that a file fixes, whose
  /// length the new axes may contain as a plain number.
  func reshaped(to lengths: [Extent], declaredBatch: Int?) -> ImageView? {
    var rest: [AxisPart] = []
    for part in axes.joined() {
      if case .run(let length, let step) = part {
        if length == 1 { continue }
        // Neighbours that follow each other in memory can be cut anywhere.
        if case .run(let before, let stride)? = rest.last, stride == length * step {
          rest[rest.count - 1] = .run(length: before * length, step: step)
          continue
        }
      }
      rest.append(part)
    }
    rest.reverse()
    var result = self
    result.axes = []
    for (place, length) in lengths.enumerated() {
      guard length.isFixed || length.fixed == 0, length.fixed >= 0, length.perImage >= 0 else { return nil }
      var (need, wantsBatch) = (length.isFixed ? length.fixed : length.perImage, !length.isFixed)
      var parts: [AxisPart] = []
      taking: while let next = rest.last {
        switch next {
        case .batch:
          if wantsBatch {
            wantsBatch = false
          } else if let declaredBatch, length.isFixed, need % declaredBatch == 0, need > 1 || parts.isEmpty || place == lengths.count - 1 {
            need /= declaredBatch
          } else {
            break taking
          }
          parts.append(rest.removeLast())
        case .run(let count, let step):
          if need == 1 { break taking }
          rest.removeLast()
          if need % count == 0 {
            need /= count
            parts.append(next)
          } else {
            guard count % need == 0 else { return nil }
            parts.append(.run(length: need, step: step * (count / need)))
            rest.append(.run(length: count / need, step: step))
            need = 1
          }
        }
      }
      guard need == 1, !wantsBatch else { return nil }
      result.axes.append(parts)
    }
    return rest.isEmpty ? result : nil
  }
  /// Axes of length 1 repeated to the given lengths, new axes in front; nil where lengths do not fit.
  func expanded(to target: [Extent]) -> ImageView? {
    guard target.count >= axes.count else {
      return expanded(to: Array(repeating: 1, count: axes.count - target.count) + target)
    }
    var result = self
    result.axes = Array(repeating: [], count: target.count - axes.count) + axes
    let lengths = result.lengths
    for (axis, length) in target.enumerated() where length != lengths[axis] && length != 1 {
      guard lengths[axis] == 1, length.isFixed, length.fixed > 0, length.fixed < 1 << 20 else { return nil }
      result.axes[axis] = [.run(length: length.fixed, step: 0)]
    }
    return result
  }
}
