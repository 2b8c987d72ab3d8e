// What turns images into sequences of tokens and back.

internal import CKernels

/// channels × rows × columns → tokens × channels, tokens in row-major order of positions.
public struct FlattenToTokens: DifferentiableOperator {
  /// `flatten to tokens`.
  public static let name = "flatten to tokens"
  /// A layer.
  public init() {}
  /// positions × channels.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 3 else { throw wrongInputs(Self.name, expected: "one image", got: inputs) }
    return [inputs[0][1] * inputs[0][2], inputs[0][0]]
  }
  /// A transposition per image.
  public func forward(_ call: borrowing OperatorCall) {
    let (tokens, width) = (call.outputShape[0], call.outputShape[1])
    let (x, y) = (call.inputs[0], call.output)
    call.forEachImage { image, _ in transpose(x + image * tokens * width, into: y + image * tokens * width, rows: width, columns: tokens) }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// The transposition back.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (tokens, width) = (call.call.outputShape[0], call.call.outputShape[1])
    let gy = call.outputGradient
    call.call.forEachImage { image, _ in
      transpose(gy + image * tokens * width, into: gradient + image * tokens * width, rows: tokens, columns: width)
    }
  }
}

/// Puts a learnt token in front of a sequence. Parameter: the token [1, 1, width].
public struct PrependToken: DifferentiableOperator {
  /// `prepend token`.
  public static let name = "prepend token"
  /// A layer.
  public init() {}
  /// One token more.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 2 else { throw wrongInputs(Self.name, expected: "one sequence of tokens", got: inputs) }
    return [inputs[0][0] + 1, inputs[0][1]]
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (width, count) = (call.outputShape[1], call.inputShapes[0].elementCount)
    let (x, token, y) = (call.inputs[0], call.parameters[0], call.output)
    call.forEachImage { image, _ in
      let target = y + image * (count + width)
      target.update(from: token, count: width)
      (target + width).update(from: x + image * count, count: count)
    }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// The rest of the rows; the token's gradient is the sum of its rows.
  public func backward(_ call: borrowing GradientCall) {
    let (width, count) = (call.call.outputShape[1], call.call.inputShapes[0].elementCount)
    let gy = call.outputGradient
    if let gradient = call.inputGradients[0] {
      call.call.forEachImage { image, _ in
        (gradient + image * count).update(from: gy + image * (count + width) + width, count: count)
      }
    }
    if let gradient = call.parameterGradients[0] {
      sumRows(of: gy, stride: count + width, width: width, images: call.call.images, into: gradient)
    }
  }
}

/// Adds a learnt value to every image: position embeddings. Parameter: the value, with a leading axis of 1.
public struct AddParameter: DifferentiableOperator {
  /// `add parameter`.
  public static let name = "add parameter"
  /// A layer.
  public init() {}
  /// The input's shape.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1 else { throw wrongInputs(Self.name, expected: "one value", got: inputs) }
    return inputs[0]
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let count = call.outputShape.elementCount
    let (x, offset, y) = (call.inputs[0], call.parameters[0], call.output)
    call.forEachImage { image, _ in ck_add(x + image * count, offset, y + image * count, count) }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// The gradient; the parameter's is the sum over images.
  public func backward(_ call: borrowing GradientCall) {
    let count = call.call.outputShape.elementCount
    let gy = call.outputGradient
    if let gradient = call.inputGradients[0] {
      call.call.forEachImage { image, _ in (gradient + image * count).update(from: gy + image * count, count: count) }
    }
    if let gradient = call.parameterGradients[0] { sumRows(of: gy, stride: count, width: count, images: call.call.images, into: gradient) }
  }
}

/// Takes one token of a sequence.
public struct SelectToken: DifferentiableOperator {
  /// `select token`.
  public static let name = "select token"
  /// Which one.
  public var index: Int
  /// A layer.
  public init(_ index: Int = 0) { self.index = index }
  /// width.
  public func outputShape(for inputs: [Shape]) throws(TTAError) -> Shape {
    guard inputs.count == 1, inputs[0].rank == 2, index < inputs[0][0] else {
      throw wrongInputs(Self.name, expected: "a sequence of more than \(index) tokens", got: inputs)
    }
    return [inputs[0][1]]
  }
  /// Image by image.
  public func forward(_ call: borrowing OperatorCall) {
    let (width, count, index) = (call.outputShape[0], call.inputShapes[0].elementCount, index)
    let (x, y) = (call.inputs[0], call.output)
    call.forEachImage { image, _ in (y + image * width).update(from: x + image * count + index * width, count: width) }
  }
  /// Nothing.
  public func retained(forParameters: Bool) -> RetainedValues { [] }
  /// Zeros but for the token.
  public func backward(_ call: borrowing GradientCall) {
    guard let gradient = call.inputGradients[0] else { return }
    let (width, count, index) = (call.call.outputShape[0], call.call.inputShapes[0].elementCount, index)
    let gy = call.outputGradient
    call.call.forEachImage { image, _ in
      (gradient + image * count).update(repeating: 0, count: count)
      (gradient + image * count + index * width).update(from: gy + image * width, count: width)
    }
  }
}

/// Adds up the first `width` values of every image's row, in double and in order.
private func sumRows(of rows: UnsafePointer<Float>, stride: Int, width: Int, images: Int, into total: UnsafeMutablePointer<Float>) {
  for i in 0..<width {
    var sum = 0.0
    for image in 0..<images { sum += Double(rows[image * stride + i]) }
    total[i] = Float(sum)
  }
}
