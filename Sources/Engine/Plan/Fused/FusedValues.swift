// Results in blocked layout while a plan is compiled.

internal import CKernels

/// A step that writes a stored value and can sum up its moments on the way.
protocol SummingStep: PlanStep {
  /// Sums to take, and the parameter whose values they are centred on.
  func attach(_ sums: SumsSpecification, center: ChannelCopy?)
}

/// One value per channel, copied from a parameter into a buffer of whole blocks before a kernel runs.
struct ChannelCopy: Sendable {
  let parameter: ParameterID, buffer: BufferID

  func run(_ frame: borrowing Frame, channels: Int) {
    let target = frame.floats(buffer)
    target.update(from: frame.parameters.pointer(parameter), count: channels)
    (target + channels).update(repeating: 0, count: paddedChannels(channels) - channels)
  }
}

/// A raw result in a buffer of its own: a convolution's output, a pooled image.
final class StoredValue: PlanValue {
  let buffer: BufferID
  /// The step that writes it and its index, if it can take sums.
  var producer: (step: any SummingStep, index: Int)?
  /// The number of forward steps that existed when it was written.
  let writtenAt: Int
  /// Sums of its moments, once something asked for them.
  var moments: SumsSpecification?
  /// Parts of its gradient.
  var terms: [GradientTerm] = []

  init(_ buffer: BufferID, shape: Shape, requiresGradient: Bool, writtenAt: Int) {
    (self.buffer, self.writtenAt) = (buffer, writtenAt)
    super.init(shape: shape, requiresGradient: requiresGradient)
  }
}

/// A part of a stored value's gradient.
enum GradientTerm {
  /// A buffer as it is.
  case plain(BufferID)
  /// The gradient behind a norm layer in front of this value.
  case norm(BufferID, FusedNorm)
}

/// One side of a sum: a stored value, with or without a norm; or an evaluated value.
struct Addend {
  enum Source { case stored(StoredValue), site(SiteValue) }
  var source: Source
  var norm: FusedNorm?
}

/// A value times one factor per image and channel: squeeze and excitation.
struct Gate {
  /// The value that is multiplied, and the factors in plain rows.
  let site: SiteValue, factors: PlainValue
  var reference: GateReference { GateReference(buffer: factors.buffer, channels: site.shape[0]) }
}

/// A value that is evaluated where it is read: gate · activation(first + second).
final class SiteValue: PlanValue {
  let first: Addend, second: Addend?
  let activation: ck_activation
  /// Factors behind the activation; such a value has one reader and no `second`.
  let gate: Gate?
  /// Where the evaluated value is kept, once it is, and the number of forward steps that existed then.
  private(set) var materialized: BufferID?, materializedAt = 0
  /// Gradients that will arrive, those that arrived, and their buffers so far (`owned`: may be written to).
  var expected = 0, received = 0
  var pending: [BufferID] = []
  /// Global means of this value whose gradients have not arrived yet, and the gradient of its gated value, which waits for the last of them.
  var openMeans = 0, gatedGradient: (gradient: BufferID, factors: GateReference)?

  init(
    _ first: Addend, _ second: Addend?, _ activation: ck_activation, gate: Gate? = nil, shape: Shape, requiresGradient: Bool
  ) {
    (self.first, self.second, self.activation, self.gate) = (first, second, activation, gate)
    super.init(shape: shape, requiresGradient: requiresGradient)
  }
  /// Where the signs of the evaluated value are, once a step that reads it left them: what the activation's mask needs in the backward.
  var signs: BufferID?
  func materialize(in buffer: BufferID, at step: Int) { (materialized, materializedAt) = (buffer, step) }
}

/// The images behind the input normalisation, not yet computed: the first convolution normalises while it reads.
final class NormalizedImages: PlanValue {
  let node: Int
  let operation: Normalize
  init(node: Int, _ operation: Normalize, shape: Shape) {
    (self.node, self.operation) = (node, operation)
    super.init(shape: shape, requiresGradient: false)
  }
}

/// A norm layer of the fused path.
final class FusedNorm: Sendable {
  enum Kind: Sendable { case batch(BatchNorm), group(GroupNorm) }
  let kind: Kind
  let node: Int
  let channels: Int, positions: Int
  let scale: ParameterID, shift: ParameterID
  let runningMean: ParameterID?, runningVariance: ParameterID?
  /// The value that is normalised.
  let input: BufferID
  /// Scale, shift and mean per channel, each padded; one set, or one per image.
  let coefficients: BufferID
  /// As `BatchNorm` keeps them: batch mean, batch variance, mean, inverse deviation; for group norms mean and inverse deviation per image and group.
  let kept: BufferID
  /// Factors of the backward per channel, each padded: of the gradient, of the input, and the constant.
  let gradientCoefficients: BufferID

  init(
    kind: Kind, node: Int, channels: Int, positions: Int, parameters: [ParameterID], input: BufferID, coefficients: BufferID,
    kept: BufferID,
    gradientCoefficients: BufferID
  ) {
    (self.kind, self.node, self.channels, self.positions) = (kind, node, channels, positions)
    (scale, shift) = (parameters[0], parameters[1])
    runningMean = parameters.count > 2 ? parameters[2] : nil
    runningVariance = parameters.count > 3 ? parameters[3] : nil
    (self.input, self.coefficients, self.kept, self.gradientCoefficients) = (input, coefficients, kept, gradientCoefficients)
  }
  var padded: Int { paddedChannels(channels) }
  var isPerImage: Bool { if case .group = kind { true } else { false } }
  var stride: Int { isPerImage ? 3 * padded : 0 }
  /// Normalises: scale and shift.
  var affine: AffineReference { AffineReference(buffer: coefficients, scale: 0, shift: padded, imageStride: stride) }
  /// The mean in use, as the scale of an affine reference.
  var mean: AffineReference { AffineReference(buffer: coefficients, scale: 2 * padded, shift: nil, imageStride: stride) }
}
