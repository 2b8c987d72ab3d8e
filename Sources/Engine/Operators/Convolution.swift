// Two-dimensional convolution of any kernel, stride, padding, dilation and grouping.

internal import CKernels

/// A two-dimensional convolution as PyTorch defines it (cross-correlation). Parameters: weight [filters, channels / groups, rows, columns], then bias.
public struct Convolution: DifferentiableOperator {
  /// `convolution`.
  public static let name = "convolution"
  /// Rows and columns of something.
  public struct Pair: Hashable, Codable, Sendable {
    /// Rows.
    public var height: Int
    /// Columns.
    public var width: Int
    /// Rows and columns.
    public init(_ height: Int, _ width: Int) { (self.height, self.width) = (height, width) }
    /// The same in both directions.
    public init(_ both: Int) { self.init(both, both) }
  }
  /// Zeros around the input.
  public struct Padding: Hashable, Codable, Sendable {
    /// Rows above and below, columns on the left and on the right.
    public var top: Int, bottom: Int, left: Int, right: Int
    /// Four sides.
    public init(top: Int, bottom: Int, left: Int, right: Int) {
      (self.top, self.bottom, self.left, self.right) = (top, bottom, left, right)
    }
    /// The same on all sides.
    public init(_ all: Int) { self.init(top: all, bottom: all, left: all, right: all) }
  }
  /// Output channels.
  public var filters: Int
  /// Size of the window.
  public var kernel: Pair
  /// Step of the window.
  public var stride: Pair
  /// Zeros around the input.
  public var padding: Padding
  /// Distance of the window's samples.
  public var dilation: Pair
  /// Channels are split into this many independent convolutions.
  public var groups: Int
  /// Whether an offset is added.
  public var hasBias: Bool

  /// A convolution.
  public init(
    filters: Int, kernel: Pair, stride: Pair = Pair(1), padding: Padding = Padding(0), dilation: Pair = Pair(1), groups: Int = 1,
    hasBias: Bool = false
  ) {
    (self.filters, self.kernel, self.stride, self.padding) = (filters, kernel, stride, padding)
    (self.dilation, self.groups, self.hasBias) = (dilation, groups, hasBias)
  }

  /// filters × rows × columns.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3, groups > 0, inputs[0][0] % groups == 0, filters % groups == 0 else {
      throw wrongInputs(Self.name, expected: "one image with channels divisible by \(groups) groups", got: inputs)
    }
    let height = (inputs[0][1] + padding.top + padding.bottom - dilation.height * (kernel.height - 1) - 1) / stride.height + 1
    let width = (inputs[0][2] + padding.left + padding.right - dilation.width * (kernel.width - 1) - 1) / stride.width + 1
    guard height > 0, width > 0 else {
      throw wrongInputs(Self.name, expected: "an image of at least \(kernel.height)×\(kernel.width) pixels with its padding", got: inputs)
    }
    return [filters, height, width]
  }
  private func window(_ input: Shape, _ output: Shape) -> ck_window {
    ck_window(
      channels: input[0] / groups, height: input[1], width: input[2], out_height: output[1], out_width: output[2],
      kernel_height: kernel.height, kernel_width: kernel.width, stride_height: stride.height, stride_width: stride.width,
      dilation_height: dilation.height, dilation_width: dilation.width, pad_top: padding.top, pad_left: padding.left)
  }
  private func depth(_ input: Shape) -> Int { input[0] / groups * kernel.height * kernel.width }
  /// Columns for each worker; partial weight gradients.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    guard let output = try? outputShape(for: inputs) else { return memory }
    memory.scratchPerWorker = depth(inputs[0]) * output[1] * output[2] * 4
    memory.partialSums = Self.weightBlocks * (filters * depth(inputs[0]) + filters)
    return memory
  }
  /// Two per weight and position.
  public func operations(for inputs: [Shape]) -> Double {
    guard let output = try? outputShape(for: inputs) else { return 0 }
    return 2 * Double(output.elementCount) * Double(depth(inputs[0]))
  }
  /// Image by image: columns, then one product per group.
  public func forward(_ call: borrowing OperatorCall) {
    let (input, output) = (call.inputShapes[0], call.outputShape)
    let window = window(input, output)
    let (depth, area, share) = (depth(input), output[1] * output[2], filters / groups)
    let (x, weight, y) = (call.inputs[0], call.parameters[0], call.output)
    let bias = hasBias ? call.parameters[1] : nil
    call.forEachImage { image, scratch in
      guard let columns = scratch?.assumingMemoryBound(to: Float.self) else { return }
      for group in 0..<groups {
        var window = window
        let source = x + image * input.elementCount + group * window.channels * input[1] * input[2]
        let target = y + image * output.elementCount + group * share * area
        ck_image_to_columns(&window, source, columns)
        ck_gemm(
          nil, CK_NORMAL, CK_NORMAL, share, area, depth, weight + group * share * depth, depth, columns, area, target, area, nil, false)
        if let bias {
          for filter in 0..<share {
            let offset = bias[group * share + filter]
            let row = target + filter * area
            for i in 0..<area { row[i] += offset }
          }
        }
      }
    }
  }
  /// The input where weights learn.
  public func retained(forParameters: Bool) -> RetainedValues { forParameters ? .inputs : [] }
  /// Transposed products; weight gradients are summed over fixed blocks of images.
  public func backward(_ call: borrowing GradientCall) {
    if let gradient = call.inputGradients[0] { backwardData(call, gradient) }
    if call.parameterGradients[0] != nil || (hasBias && call.parameterGradients[1] != nil) { backwardWeights(call) }
  }

  private func backwardData(_ call: borrowing GradientCall, _ gradient: UnsafeMutablePointer<Float>) {
    let (input, output) = (call.call.inputShapes[0], call.call.outputShape)
    let window = window(input, output)
    let (depth, area, share) = (depth(input), output[1] * output[2], filters / groups)
    let (weight, gy) = (call.call.parameters[0], call.outputGradient)
    call.call.forEachImage { image, scratch in
      guard let columns = scratch?.assumingMemoryBound(to: Float.self) else { return }
      (gradient + image * input.elementCount).update(repeating: 0, count: input.elementCount)
      for group in 0..<groups {
        var window = window
        let source = gy + image * output.elementCount + group * share * area
        let target = gradient + image * input.elementCount + group * window.channels * input[1] * input[2]
        ck_gemm(
          nil, CK_TRANSPOSED, CK_NORMAL, depth, area, share, weight + group * share * depth, depth, source, area, columns, area, nil, false)
        ck_columns_to_image(&window, columns, target)
      }
    }
  }

  /// Fixed number of partial weight gradients: independent of the number of threads.
  private static let weightBlocks = 8
  private func backwardWeights(_ call: borrowing GradientCall) {
    let (input, output) = (call.call.inputShapes[0], call.call.outputShape)
    let window = window(input, output)
    let (depth, area, share) = (depth(input), output[1] * output[2], filters / groups)
    let (x, gy, images) = (call.call.inputs[0], call.outputGradient, call.call.images)
    let size = filters * depth + filters
    let partial = call.call.partialSums
    let blocks = min(images, Self.weightBlocks)
    call.call.forEachUnit(blocks) { block, scratch in
      guard let columns = scratch?.assumingMemoryBound(to: Float.self) else { return }
      let sums = partial + block * size
      sums.update(repeating: 0, count: size)
      for image in block * images / blocks..<(block + 1) * images / blocks {
        for group in 0..<groups {
          var window = window
          ck_image_to_columns(&window, x + image * input.elementCount + group * window.channels * input[1] * input[2], columns)
          ck_gemm(
            nil, CK_NORMAL, CK_TRANSPOSED, share, depth, area, gy + image * output.elementCount + group * share * area, area, columns, area,
            sums + group * share * depth, depth, nil, true)
        }
        for filter in 0..<filters {
          var sum: Double = 0
          let row = gy + image * output.elementCount + filter * area
          for i in 0..<area { sum += Double(row[i]) }
          sums[filters * depth + filter] += Float(sum)
        }
      }
    }
    for (gradient, range) in [
      (call.parameterGradients[0], 0..<filters * depth), (hasBias ? call.parameterGradients[1] : nil, filters * depth..<size),
    ] {
      guard let gradient else { continue }
      gradient.update(from: partial + range.lowerBound, count: range.count)
      for block in 1..<max(1, blocks) { ck_add_scaled(gradient, partial + block * size + range.lowerBound, 1, range.count) }
    }
  }
}
