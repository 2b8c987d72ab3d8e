// Arithmetic on constants and on shapes, done once at import.

import Engine
import Foundation
import Onnx

/// Operators of which no input depends on the images.
enum ConstantFolding {
  /// Most values of a constant that is computed: 512 MB of floats.
  static let valueLimit = 1 << 27

  /// The value of a node whose inputs are constants; nil where it cannot be computed at import. `read` gives the values of a tensor.
  static func value(
    of node: OnnxNode, _ inputs: [TracedConstant?], read: (OnnxTensor) throws(TTAError) -> TracedConstant
  ) throws(TTAError) -> TracedConstant? {
    func input(_ k: Int) -> TracedConstant? { k < inputs.count ? inputs[k] : nil }
    guard let first = input(0) else { return nil }
    switch node.operation {
    case "Identity", "Dropout": return first
    case "Cast", "CastLike":
      return cast(first, toIntegers: input(1)?.isInteger ?? OnnxType(rawValue: node.integer("to", 1))?.isInteger ?? false)
    case "Shape": return TracedConstant(first.lengths.map { $0 }, lengths: [Extent(first.lengths.count)]).part(of: node)
    case "ConstantOfShape": return try ofShape(node, first, read: read)
    case "Range": return range(first, input(1), input(2))
    case "Unsqueeze":
      guard let axes = node.axes(input(1)) else { return nil }
      return first.unsqueezed(axes)
    case "Squeeze": return first.squeezed(node.axes(input(1)))
    case "Reshape":
      guard let target = input(1)?.integers ?? node.extents("shape") else { return nil }
      return first.reshaped(to: target, zeroCopies: !node.flag("allowzero"))
    case "Flatten":
      guard let lengths = first.lengths.fixed else { return nil }
      let axis = node.integer("axis", 1)
      let split = axis < 0 ? axis + lengths.count : axis
      guard split >= 0, split <= lengths.count else { return nil }
      return first.reshaped(to: [Extent(lengths[..<split].reduce(1, *)), Extent(lengths[split...].reduce(1, *))], zeroCopies: false)
    case "Concat": return concatenated(inputs.compactMap { $0 }, axis: node.integer("axis", 0))
    case "Gather":
      guard let indices = input(1) else { return nil }
      return first.gathered(indices, axis: node.integer("axis", 0))
    case "Slice":
      guard let spans = SliceSpan.all(of: node, inputs: inputs.dropFirst().map { $0 }, rank: first.lengths.count) else { return nil }
      return first.sliced(spans)
    case "Transpose": return first.transposed(node.integers("perm"))
    case "Expand":
      guard let target = input(1)?.integers else { return nil }
      return first.expanded(to: target)
    case "Where":
      guard let yes = input(1), let no = input(2) else { return nil }
      return chosen(first, yes, no)
    case "Mod" where node.flag("fmod"): return nil
    case "Add", "Sub", "Mul", "Div", "Mod", "Equal", "Less", "Greater", "Pow", "Min", "Max", "And", "Or":
      guard let second = input(1) else { return nil }
      return arithmetic(node.operation, first, second)
    case "Sqrt", "Neg", "Abs", "Exp", "Log", "Floor", "Ceil", "Reciprocal", "Not", "Erf", "Sigmoid", "Tanh":
      return function(node.operation, first)
    default: return nil
    }
  }

  private static func cast(_ value: TracedConstant, toIntegers: Bool) -> TracedConstant? {
    if toIntegers == value.isInteger { return value }
    guard let numbers = value.numbers else { return toIntegers ? nil : value }
    if !toIntegers { return TracedConstant(numbers) }
    let values = numbers.values
    guard values.allSatisfy({ abs($0) < 0x1p62 }) else { return nil }
    return TracedConstant(integers: values.map { Int($0) }, shape: numbers.shape)
  }
  private static func ofShape(
    _ node: OnnxNode, _ shape: TracedConstant, read: (OnnxTensor) throws(TTAError) -> TracedConstant
  ) throws(TTAError) -> TracedConstant? {
    guard let lengths = shape.integers, lengths.allSatisfy({ $0.fixed >= 0 }) else { return nil }
    let fixed = lengths.filter(\.isFixed)
    guard let count = fixed.product, count.fixed <= valueLimit else {
      throw TTAError(
        .invalidData, "a constant of shape \(lengths.text) is larger than \(valueLimit) values",
        hint: "the file is damaged; export the model again")
    }
    let shape = Shape(fixed.map(\.fixed))
    guard case .tensor(let tensor)? = node.attributes["value"] else {
      return TracedConstant(Tensor(zeros: shape)).repeated(along: lengths)
    }
    guard tensor.shape.elementCount == 1 else { return nil }
    let value = try read(tensor)
    if value.isInteger {
      guard let number = value.integers?.first, lengths.fixed != nil else { return nil }
      return TracedConstant(Array(repeating: number, count: count.fixed), lengths: lengths)
    }
    guard let number = value.scalar else { return nil }
    return TracedConstant(Tensor(repeating: number, shape: shape)).repeated(along: lengths)
  }
  private static func range(_ start: TracedConstant, _ limit: TracedConstant?, _ step: TracedConstant?) -> TracedConstant? {
    guard let first = start.integers?.first, let end = limit?.integers?.first, let step = step?.integers?.first, first.isFixed,
      step.isFixed, step.fixed != 0
    else { return nil }
    if !end.isFixed {
      guard first == 0, step == 1, end.fixed == 0 else { return nil }
      return TracedConstant(grid: 0, steps: [1], lengths: [end])
    }
    let (span, overflow) = end.fixed.subtractingReportingOverflow(first.fixed)
    guard !overflow, abs(span) < 1 << 40, abs(step.fixed) < 1 << 40 else { return nil }
    let count = max(0, step.fixed > 0 ? (span + step.fixed - 1) / step.fixed : (-span - step.fixed - 1) / -step.fixed)
    guard count <= valueLimit else { return nil }
    return TracedConstant(integers: (0..<count).map { first.fixed + $0 * step.fixed }, shape: [count])
  }
  private static func concatenated(_ parts: [TracedConstant], axis given: Int) -> TracedConstant? {
    guard let rank = parts.first?.lengths.count, rank > 0, parts.allSatisfy({ $0.lengths.count == rank }) else { return nil }
    let axis = given < 0 ? given + rank : given
    guard axis >= 0, axis < rank else { return nil }
    if rank == 1, parts.allSatisfy(\.isInteger) {
      let lists = parts.compactMap(\.integers)
      guard lists.count == parts.count else { return nil }
      let all = lists.flatMap { $0 }
      return TracedConstant(all, lengths: [Extent(all.count)])
    }
    let tensors = parts.compactMap(\.numbers)
    guard tensors.count == parts.count, !parts.contains(where: { !$0.lengths.allSatisfy(\.isFixed) }) else { return nil }
    let outer = tensors[0].shape.dimensions[..<axis].reduce(1, *)
    let blocks = tensors.map { ($0.values, $0.elementCount / max(1, outer)) }
    var values: [Float] = []
    for row in 0..<outer { for (values_, size) in blocks { values += values_[row * size..<(row + 1) * size] } }
    var shape = tensors[0].shape
    shape.dimensions[axis] = tensors.reduce(0) { $0 + $1.shape[axis] }
    guard values.count == shape.elementCount else { return nil }
    let result = TracedConstant(Tensor(values, shape: shape))
    return parts.allSatisfy(\.isInteger) ? cast(result, toIntegers: true) : result
  }
  private static func chosen(_ condition: TracedConstant, _ yes: TracedConstant, _ no: TracedConstant) -> TracedConstant? {
    guard let flags = condition.integers, let first = yes.integers, let second = no.integers else { return nil }
    let count = max(flags.count, first.count, second.count)
    guard [flags.count, first.count, second.count].allSatisfy({ $0 == count || $0 == 1 }) else { return nil }
    func at(_ list: [Extent], _ i: Int) -> Extent { list.count == 1 ? list[0] : list[i] }
    let longest = [condition, yes, no].max { ($0.integers?.count ?? 0) < ($1.integers?.count ?? 0) } ?? yes
    return TracedConstant((0..<count).map { at(flags, $0) != 0 ? at(first, $0) : at(second, $0) }, lengths: longest.lengths)
  }
  private static func arithmetic(_ operation: String, _ left: TracedConstant, _ right: TracedConstant) -> TracedConstant? {
    if left.isInteger, right.isInteger {
      if let result = gridArithmetic(operation, left, right) { return result }
      guard let a = left.integers, let b = right.integers, let lengthsA = left.lengths.fixed, let lengthsB = right.lengths.fixed,
        let places = Broadcast(lengthsA, lengthsB)
      else { return nil }
      var values: [Extent] = []
      for (i, j) in places.pairs {
        guard let value = whole(operation, a[i], b[j]) else { return nil }
        values.append(value)
      }
      return TracedConstant(values, lengths: places.lengths.map { Extent($0) })
    }
    guard let a = left.numbers, let b = right.numbers, let places = Broadcast(a.shape.dimensions, b.shape.dimensions) else { return nil }
    let (x, y) = (a.values, b.values)
    let function: (Float, Float) -> Float
    switch operation {
    case "Add": function = { $0 + $1 }
    case "Sub": function = { $0 - $1 }
    case "Mul": function = { $0 * $1 }
    case "Div": function = { $0 / $1 }
    case "Pow": function = { Float(pow(Double($0), Double($1))) }
    case "Min": function = { min($0, $1) }
    case "Max": function = { max($0, $1) }
    case "Mod": function = { $0.truncatingRemainder(dividingBy: $1) }
    default: return nil
    }
    return TracedConstant(Tensor(places.pairs.map { function(x[$0], y[$1]) }, shape: Shape(places.lengths)))
  }
  private static func whole(_ operation: String, _ a: Extent, _ b: Extent) -> Extent? {
    switch operation {
    case "Add": return a + b
    case "Sub": return a - b
    case "Mul": return a * b
    case "Div": return a / b
    case "Equal": return a == b ? 1 : 0
    default: break
    }
    guard a.isFixed, b.isFixed else { return nil }
    switch operation {
    case "Mod":
      guard b.fixed != 0, a.fixed != .min else { return nil }
      let rest = a.fixed % b.fixed
      return Extent(rest != 0 && (rest < 0) != (b.fixed < 0) ? rest + b.fixed : rest)
    case "Less": return a.fixed < b.fixed ? 1 : 0
    case "Greater": return a.fixed > b.fixed ? 1 : 0
    case "And": return a.fixed != 0 && b.fixed != 0 ? 1 : 0
    case "Or": return a.fixed != 0 || b.fixed != 0 ? 1 : 0
    case "Min": return Extent(min(a.fixed, b.fixed))
    case "Max": return Extent(max(a.fixed, b.fixed))
    default: return nil
    }
  }
  /// Sums and multiples of ranges.
  private static func gridArithmetic(_ operation: String, _ left: TracedConstant, _ right: TracedConstant) -> TracedConstant? {
    var isRange = false
    if case .grid = left.content { isRange = true }
    if case .grid = right.content { isRange = true }
    guard isRange, let a = left.grid, let b = right.grid else { return nil }
    let rank = max(left.lengths.count, right.lengths.count)
    func padded<T>(_ list: [T], _ value: T) -> [T] { Array(repeating: value, count: rank - list.count) + list }
    let (lengthsA, lengthsB) = (padded(left.lengths, 1), padded(right.lengths, 1))
    guard zip(lengthsA, lengthsB).allSatisfy({ $0 == $1 || $0 == 1 || $1 == 1 }) else { return nil }
    let lengths = zip(lengthsA, lengthsB).map { $0 == 1 ? $1 : $0 }
    switch operation {
    case "Add":
      return TracedConstant(
        grid: a.offset &+ b.offset, steps: zip(padded(a.steps, 0), padded(b.steps, 0)).map { $0 &+ $1 }, lengths: lengths)
    case "Mul":
      let (range, factor) = a.steps.allSatisfy { $0 == 0 } ? (b, a.offset) : (a, b.offset)
      guard a.steps.allSatisfy({ $0 == 0 }) || b.steps.allSatisfy({ $0 == 0 }) else { return nil }
      return TracedConstant(grid: range.offset &* factor, steps: padded(range.steps, 0).map { $0 &* factor }, lengths: lengths)
    default: return nil
    }
  }
  private static func function(_ operation: String, _ value: TracedConstant) -> TracedConstant? {
    if operation == "Not" || (value.isInteger && operation != "Sqrt" && operation != "Exp" && operation != "Log") {
      guard let integers = value.integers else { return nil }
      switch operation {
      case "Not": return TracedConstant(integers.map { $0 == 0 ? 1 : 0 }, lengths: value.lengths)
      case "Neg": return TracedConstant(integers.map { Extent(0) - $0 }, lengths: value.lengths)
      case "Abs":
        guard integers.allSatisfy({ $0.isFixed && $0.fixed != .min }) else { return nil }
        return TracedConstant(integers.map { Extent(abs($0.fixed)) }, lengths: value.lengths)
      case "Floor", "Ceil": return value
      default: return nil
      }
    }
    guard let tensor = value.numbers else { return nil }
    let function: (Float) -> Float
    switch operation {
    case "Sqrt": function = { $0.squareRoot() }
    case "Neg": function = { -$0 }
    case "Abs": function = { abs($0) }
    case "Exp": function = { Float(exp(Double($0))) }
    case "Log": function = { Float(log(Double($0))) }
    case "Floor": function = { $0.rounded(.down) }
    case "Ceil": function = { $0.rounded(.up) }
    case "Reciprocal": function = { 1 / $0 }
    case "Erf": function = { Float(erf(Double($0))) }
    case "Sigmoid": function = { Float(1 / (1 + exp(-Double($0)))) }
    case "Tanh": function = { Float(tanh(Double($0))) }
    default: return nil
    }
    var result = TracedConstant(Tensor(tensor.values.map(function), shape: tensor.shape))
    result.lengths = value.lengths
    return result
  }
}

/// Positions of both operands for every value of a broadcast result.
private struct Broadcast {
  let lengths: [Int]
  let pairs: [(Int, Int)]

  init?(_ left: [Int], _ right: [Int]) {
    let rank = max(left.count, right.count)
    let (a, b) = (Array(repeating: 1, count: rank - left.count) + left, Array(repeating: 1, count: rank - right.count) + right)
    guard zip(a, b).allSatisfy({ $0 == $1 || $0 == 1 || $1 == 1 }) else { return nil }
    let result = zip(a, b).map { $0 == 1 ? $1 : $0 }
    // Positions take more room than values: large constants are not worth it.
    guard let count = result.map({ Extent($0) }).product, count.fixed <= 1 << 22 else { return nil }
    var places: [(Int, Int)] = [(0, 0)]
    for axis in 0..<rank {
      places = places.flatMap { place in
        (0..<result[axis]).map { i in (place.0 * a[axis] + (a[axis] == 1 ? 0 : i), place.1 * b[axis] + (b[axis] == 1 ? 0 : i)) }
      }
    }
    (lengths, pairs) = (result, places)
  }
}

/// Where a slice begins, how many values it has, and how far apart they lie.
struct SliceSpan {
  var axis: Int
  var start: Int, end: Int, step: Int

  /// The slices of a node: its attributes up to opset 9, its inputs after it; nil where they are not fixed numbers.
  static func all(of node: OnnxNode, inputs: [TracedConstant?], rank: Int) -> [SliceSpan]? {
    func list(_ k: Int, _ attribute: String) -> [Int]?? {
      if k < inputs.count, let value = inputs[k] { return .some(value.integers?.fixed) }
      return node.attributes[attribute] == nil ? .some(nil) : .some(node.integers(attribute))
    }
    guard let starts = list(0, "starts") ?? nil, let ends = list(1, "ends") ?? nil, starts.count == ends.count else { return nil }
    let axes = (list(2, "axes") ?? nil) ?? Array(starts.indices)
    let steps = (list(3, "steps") ?? nil) ?? Array(repeating: 1, count: starts.count)
    guard axes.count == starts.count, steps.count == starts.count else { return nil }
    var result: [SliceSpan] = []
    for k in starts.indices {
      let axis = axes[k] < 0 ? axes[k] + rank : axes[k]
      guard axis >= 0, axis < rank, steps[k] != 0, steps[k] > -1 << 31, steps[k] < 1 << 31 else { return nil }
      result.append(SliceSpan(axis: axis, start: starts[k], end: ends[k], step: steps[k]))
    }
    return result
  }
  /// First position and number of values along an axis of the given length.
  func resolved(_ length: Int) -> (start: Int, count: Int) {
    func position(_ value: Int) -> Int { value < 0 ? max(value, -length - 1) + length : min(value, length) }
    if step > 0 {
      let (first, last) = (max(0, position(start)), max(0, position(end)))
      return (first, last > first ? (last - first + step - 1) / step : 0)
    }
    let (first, last) = (min(position(start), length - 1), max(position(end), -1))
    return (max(first, 0), first > last ? (first - last - step - 1) / -step : 0)
  }
}

extension TracedConstant {
  /// Offset and steps where the whole numbers grow evenly along each axis.
  var grid: (offset: Int, steps: [Int])? {
    if case .grid(let offset, let steps) = content { return (offset, steps) }
    guard let values = integers?.fixed, let lengths = lengths.fixed, let first = values.first else { return nil }
    var steps = Array(repeating: 0, count: lengths.count)
    var stride = 1
    for axis in lengths.indices.reversed() {
      if lengths[axis] > 1 { steps[axis] = values[stride] &- first }
      stride *= lengths[axis]
    }
    for (i, value) in values.enumerated() {
      var (rest, expected) = (i, first)
      for axis in lengths.indices.reversed() {
        expected &+= rest % lengths[axis] &* steps[axis]
        rest /= lengths[axis]
      }
      guard value == expected else { return nil }
    }
    return (first, steps)
  }
  /// Numbers repeated along the axes that grow with the batch.
  func repeated(along lengths: [Extent]) -> TracedConstant {
    var result = self
    result.lengths = lengths
    return result
  }
  /// The part of a shape that `Shape` of opset 15 takes.
  func part(of node: OnnxNode) -> TracedConstant? {
    guard let values = integers else { return nil }
    func position(_ value: Int) -> Int { min(max(value < 0 ? value + values.count : value, 0), values.count) }
    let (start, end) = (position(node.integer("start", 0)), position(node.integer("end", values.count)))
    let taken = Array(values[start..<max(start, end)])
    return TracedConstant(taken, lengths: [Extent(taken.count)])
  }
  /// The same content under other lengths without the axes of the batch.
  private func withLengths(_ lengths: [Extent], steps: [Int]? = nil) -> TracedConstant? {
    var result = self
    result.lengths = lengths
    switch content {
    case .numbers(let tensor):
      let shape = Shape(lengths.filter(\.isFixed).map(\.fixed))
      guard shape.elementCount == tensor.elementCount else { return nil }
      if shape != tensor.shape { result.origin = nil }
      result.content = .numbers(tensor.reshaped(to: shape))
    case .integers(let values): guard lengths.product == Extent(values.count) else { return nil }
    case .grid(let offset, _):
      guard let steps else { return nil }
      result.content = .grid(offset: offset, steps: steps)
    }
    return result
  }
  func unsqueezed(_ axes: [Int]) -> TracedConstant? {
    let rank = lengths.count + axes.count
    let places = axes.map { $0 < 0 ? $0 + rank : $0 }.sorted()
    guard places.allSatisfy({ $0 >= 0 && $0 < rank }), Set(places).count == places.count else { return nil }
    var (result, steps) = (lengths, grid?.steps)
    for place in places {
      result.insert(1, at: place)
      steps?.insert(0, at: place)
    }
    return withLengths(result, steps: steps)
  }
  func squeezed(_ axes: [Int]?) -> TracedConstant? {
    let places = axes.map { Set($0.map { $0 < 0 ? $0 + lengths.count : $0 }) } ?? Set(lengths.indices.filter { lengths[$0] == 1 })
    guard places.allSatisfy({ $0 >= 0 && $0 < lengths.count && lengths[$0] == 1 }) else { return nil }
    let kept = lengths.indices.filter { !places.contains($0) }
    return withLengths(kept.map { lengths[$0] }, steps: grid.map { grid in kept.map { grid.steps[$0] } })
  }
  func reshaped(to target: [Extent], zeroCopies: Bool) -> TracedConstant? {
    guard let lengths = TracedShapes.resolve(target, from: self.lengths, zeroCopies: zeroCopies) else { return nil }
    return withLengths(lengths)
  }
  func gathered(_ indices: TracedConstant, axis given: Int) -> TracedConstant? {
    guard let list = indices.integers?.fixed else { return nil }
    let axis = given < 0 ? given + lengths.count : given
    guard axis >= 0, axis < lengths.count, lengths[axis].isFixed else { return nil }
    let length = lengths[axis].fixed
    let places = list.map { $0 < 0 ? $0 + length : $0 }
    guard places.allSatisfy({ $0 >= 0 && $0 < length }) else { return nil }
    let newLengths = lengths[..<axis] + indices.lengths + lengths[(axis + 1)...]
    if let values = integers, lengths.count == 1 { return TracedConstant(places.map { values[$0] }, lengths: Array(newLengths)) }
    guard let tensor = numbers, let fixed = lengths.fixed, let shape = Array(newLengths).fixed else { return nil }
    let (outer, inner) = (fixed[..<axis].reduce(1, *), fixed[(axis + 1)...].reduce(1, *))
    guard places.isEmpty || outer * inner <= ConstantFolding.valueLimit / places.count else { return nil }
    let values = tensor.values
    var result: [Float] = []
    for row in 0..<outer {
      for place in places { result += values[(row * length + place) * inner..<(row * length + place + 1) * inner] }
    }
    let gathered = TracedConstant(Tensor(result, shape: Shape(shape)))
    return isInteger ? TracedConstant(integers: result.map { Int($0) }, shape: Shape(shape)) : gathered
  }
  func sliced(_ spans: [SliceSpan]) -> TracedConstant? {
    var result = self
    for span in spans {
      guard result.lengths[span.axis].isFixed else { return nil }
      let (start, count) = span.resolved(result.lengths[span.axis].fixed)
      let places = (0..<count).map { start + $0 * span.step }
      guard let next = result.gathered(TracedConstant(integers: places, shape: [count]), axis: span.axis) else { return nil }
      result = next
    }
    return result
  }
  func transposed(_ order: [Int]?) -> TracedConstant? {
    guard let tensor = numbers, let fixed = lengths.fixed else { return nil }
    let axes = order ?? Array(fixed.indices.reversed())
    guard axes.sorted() == Array(fixed.indices), tensor.elementCount <= 1 << 24 else { return nil }
    var steps = Array(repeating: 1, count: fixed.count)
    for axis in steps.indices.dropLast().reversed() { steps[axis] = steps[axis + 1] * fixed[axis + 1] }
    var places = [0]
    for axis in axes { places = places.flatMap { place in (0..<fixed[axis]).map { place + $0 * steps[axis] } } }
    let shape = Shape(axes.map { fixed[$0] })
    if let whole = integers { return TracedConstant(places.map { whole[$0] }, lengths: shape.dimensions.map { Extent($0) }) }
    let values = tensor.values
    return TracedConstant(Tensor(places.map { values[$0] }, shape: shape))
  }
  func expanded(to target: [Extent]) -> TracedConstant? {
    let rank = max(target.count, lengths.count)
    let own = Array(repeating: Extent(1), count: rank - lengths.count) + lengths
    let wanted = Array(repeating: Extent(1), count: rank - target.count) + target
    let result = zip(own, wanted).map { $0 == 1 ? $1 : $0 }
    guard zip(own, wanted).allSatisfy({ $0 == $1 || $0 == 1 || $1 == 1 }) else { return nil }
    if case .integers(let values) = content {
      guard values.count == 1, let count = result.product, count.isFixed, count.fixed <= ConstantFolding.valueLimit else { return nil }
      return TracedConstant(Array(repeating: values[0], count: count.fixed), lengths: result)
    }
    guard case .numbers(let tensor) = content, lengths.allSatisfy(\.isFixed), result.filter(\.isFixed).product?.fixed ?? .max <= 1 << 24
    else { return nil }
    // Fixed lengths are repeated here, the batch stays implied.
    var values = tensor.values
    var inner = 1
    for axis in result.indices.reversed() {
      let length = own[axis].fixed
      if result[axis].isFixed, result[axis] != own[axis] {
        values = stride(from: 0, to: values.count, by: inner).flatMap { start in
          (0..<result[axis].fixed).flatMap { _ in values[start..<start + inner] }
        }
        inner *= result[axis].fixed
      } else {
        inner *= length
      }
    }
    return TracedConstant(Tensor(values, shape: Shape(result.filter(\.isFixed).map(\.fixed)))).repeated(along: result)
  }
}

/// Shapes that name a length by −1 or 0.
enum TracedShapes {
  /// −1 is what is left over; 0 is the old length, where `zeroCopies`.
  static func resolve(_ target: [Extent], from lengths: [Extent], zeroCopies: Bool) -> [Extent]? {
    var result = target
    for axis in result.indices where zeroCopies && result[axis] == 0 {
      guard axis < lengths.count else { return nil }
      result[axis] = lengths[axis]
    }
    guard let open = result.firstIndex(of: -1) else { return result }
    result[open] = 1
    guard let whole = lengths.product, let known = result.product, let rest = whole / known, rest * known == whole else { return nil }
    result[open] = rest
    return result
  }
}
