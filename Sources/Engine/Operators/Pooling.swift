// Maxima and means of windows.

internal import CKernels

/// Maximum or mean of sliding windows, as PyTorch defines them.
public struct Pooling: DifferentiableOperator {
  /// `pooling`.
  public static let name = "pooling"
  /// What is taken of a window.
  public enum Kind: Hashable, Codable, Sendable {
    /// The largest value; padding counts as −∞; at ties the first in row-major order takes the gradient.
    case maximum
    /// The mean; padding counts in the divisor or not.
    case average(countsPadding: Bool)
  }
  /// What is taken.
  public var kind: Kind
  /// Window and step.
  public var kernel: Convolution.Pair, stride: Convolution.Pair
  /// Padding above and on the left, and below and on the right.
  public var padding: Convolution.Pair, paddingAfter: Convolution.Pair
  /// Whether a last window may begin inside the picture and end outside.
  public var roundsUp: Bool

  /// A pooling layer; `paddingAfter` is `padding` unless given, and must be where padding counts in the divisor.
  public init(
    _ kind: Kind, kernel: Convolution.Pair, stride: Convolution.Pair, padding: Convolution.Pair = .init(0),
    paddingAfter: Convolution.Pair? = nil, roundsUp: Bool = false
  ) {
    (self.kind, self.kernel, self.stride, self.padding, self.roundsUp) = (kind, kernel, stride, padding, roundsUp)
    self.paddingAfter = paddingAfter ?? padding
  }
  private func length(_ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ after: Int) -> Int {
    let span = size + padding + after - kernel
    guard span >= 0 else { return 0 }
    var count = (span + (roundsUp ? stride - 1 : 0)) / stride + 1
    if roundsUp, (count - 1) * stride >= size + padding { count -= 1 }
    return count
  }
  /// channels × rows × columns.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3, padding == paddingAfter || kind != .average(countsPadding: true) else {
      throw wrongInputs(Self.name, expected: "one image, padded alike on opposite sides where padding counts", got: inputs)
    }
    let height = length(inputs[0][1], kernel.height, stride.height, padding.height, paddingAfter.height)
    let width = length(inputs[0][2], kernel.width, stride.width, padding.width, paddingAfter.width)
    guard height > 0, width > 0 else {
      throw wrongInputs(Self.name, expected: "an image of at least \(kernel.height)×\(kernel.width) pixels", got: inputs)
    }
    return [inputs[0][0], height, width]
  }
  private func window(_ input: Shape, _ output: Shape) -> ck_window {
    ck_window(
      channels: input[0], height: input[1], width: input[2], out_height: output[1], out_width: output[2], kernel_height: kernel.height,
      kernel_width: kernel.width, stride_height: stride.height, stride_width: stride.width, dilation_height: 1, dilation_width: 1,
      pad_top: padding.height, pad_left: padding.width)
  }
  /// Where the maxima were.
  public func memory(for inputs: [Shape]) -> OperatorMemory {
    var memory = OperatorMemory()
    if kind == .maximum, let output = try? outputShape(for: inputs) { memory.keptPerImage = output.elementCount }
    return memory
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (input, output) = (call.inputShapes[0], call.outputShape)
    let window = window(input, output)
    let (x, y, kept, kind) = (call.inputs[0], call.output, call.keptPerImage, kind)
    call.forEachImage { image, _ in
      var window = window
      let (source, target) = (x + image * input.elementCount, y + image * output.elementCount)
      switch kind {
      case .maximum:
        let positions = UnsafeMutableRawPointer(kept + image * output.elementCount).assumingMemoryBound(to: Int32.self)
        ck_plain_max_pool(&window, source, target, positions)
      case .average(let countsPadding): ck_plain_average_pool(&window, countsPadding ? 1 : 0, source, target)
      }
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// Image by image.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (input, output) = (call.call.inputShapes[0], call.call.outputShape)
    let window = window(input, output)
    let (gy, kept, kind) = (call.outputGradient, call.call.keptPerImage, kind)
    let (inArea, outArea) = (input[1] * input[2], output[1] * output[2])
    call.call.forEachImage { image, _ in
      var window = window
      let (source, target) = (gy + image * output.elementCount, gradient + image * input.elementCount)
      target.update(repeating: 0, count: input.elementCount)
      switch kind {
      case .maximum:
        let positions = UnsafeMutableRawPointer(kept + image * output.elementCount).assumingMemoryBound(to: Int32.self)
        for channel in 0..<input[0] {
          for i in channel * outArea..<(channel + 1) * outArea where positions[i] >= 0 {
            target[channel * inArea + Int(positions[i])] += source[i]
          }
        }
      case .average(let countsPadding): ck_plain_average_pool_backward(&window, countsPadding ? 1 : 0, source, target)
      }
    }
  }
}
