// One factor and one offset per channel.

internal import CKernels

/// y = x · scale + shift, one factor and one offset per channel: along the first axis of channels × height × width, along the last of
/// features and tokens. Parameters: scale, then shift.
public struct ScaleAndShift: DifferentiableOperator {
  /// `scale and shift`.
  public static let name = "scale and shift"
  /// A layer.
  public init() {}

  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank >= 1 else { throw wrongInputs(Self.name, expected: "one value with channels", got: inputs) }
    return inputs[0]
  }
  /// Channels and positions of one image as rows × width: channels × area, or tokens × features.
  private func layout(_ shape: Shape) -> (rows: Int, width: Int, channelsAreRows: Bool) {
    if shape.rank == 3 { return (shape[0], shape[1] * shape[2], true) }
    let width = shape.dimensions.last ?? 1
    return (shape.elementCount / max(1, width), width, false)
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (rows, width, channelsAreRows) = layout(call.outputShape)
    let (x, y, scale, shift) = (call.inputs[0], call.output, call.parameters[0], call.parameters[1])
    call.forEachImage { image, _ in
      let start = image * rows * width
      if channelsAreRows { return ck_plain_affine(x + start, scale, shift, y + start, rows, width) }
      for row in 0..<rows {
        for k in 0..<width { y[start + row * width + k] = x[start + row * width + k] * scale[k] + shift[k] }
      }
    }
  }
  /// The input where the scale learns.
  public func retained(forParameters: Bool) -> RetainedValues { forParameters ? .inputs : [] }
  /// The gradient times the scale; sums over images and positions for the parameters.
  public func backward(_ call: borrowing GradientCall) {
    let (rows, width, channelsAreRows) = layout(call.call.outputShape)
    let (x, gy, scale) = (call.call.inputs[0], call.outputGradient, call.call.parameters[0])
    if let gx = call.inputGradients[0] {
      call.call.forEachImage { image, _ in
        for row in 0..<rows {
          let start = (image * rows + row) * width
          for k in 0..<width { gx[start + k] = gy[start + k] * scale[channelsAreRows ? row : k] }
        }
      }
    }
    let (scaleGradient, shiftGradient) = (call.parameterGradients[0], call.parameterGradients[1])
    guard scaleGradient != nil || shiftGradient != nil else { return }
    let channels = channelsAreRows ? rows : width
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * channels) { buffer in
      guard let totals = buffer.baseAddress else { return }
      call.call.sum(width: 2 * channels, into: totals) { images, sums in
        for row in images.lowerBound * rows..<images.upperBound * rows {
          for k in 0..<width {
            let channel = channelsAreRows ? row % rows : k
            let gradient = Double(gy[row * width + k])
            sums[channel] += gradient * Double(x[row * width + k])
            sums[channels + channel] += gradient
          }
        }
      }
      for c in 0..<channels {
        scaleGradient?[c] = Float(totals[c])
        shiftGradient?[c] = Float(totals[channels + c])
      }
    }
  }
}
