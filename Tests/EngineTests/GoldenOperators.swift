// Golden cases as operators.

import Engine

extension GoldenEngine.Layer {
  /// The operator of a single-layer case; nil for small networks.
  func operation(_ shapes: [Shape]) -> (any DifferentiableOperator)? {
    func flag(_ key: String) -> Bool { attributes[key]?.bool ?? false }
    func value(_ key: String, _ fallback: Double) -> Float { Float(attributes[key]?.number ?? fallback) }
    switch op {
    case "conv2d":
      return convolution(shapes)
    case "batch_norm": return BatchNorm(epsilon: value("eps", 1e-5))
    case "group_norm": return GroupNorm(groups: attributes["groups"]?.int ?? 1, epsilon: value("eps", 1e-5))
    case "layer_norm": return LayerNorm(epsilon: value("eps", 1e-5))
    case "linear": return Linear(outputs: shapes[1][0], hasBias: flag("bias"))
    case "relu": return Activation(.relu)
    case "relu6": return Activation(.relu6)
    case "leaky_relu": return Activation(.leakyReLU(slope: value("slope", 0.01)))
    case "gelu_erf": return Activation(.gelu)
    case "gelu_tanh": return Activation(.geluTanh)
    case "silu": return Activation(.silu)
    case "hardswish": return Activation(.hardSwish)
    case "sigmoid": return Activation(.sigmoid)
    case "hardsigmoid": return Activation(.hardSigmoid)
    case "tanh": return Activation(.tanh)
    case "softplus": return Activation(.softplus)
    case "softmax": return RowFunction(.softmax)
    case "log_softmax": return RowFunction(.logSoftmax)
    case "logsumexp": return RowFunction(.logSumExp)
    case "l2_normalize": return RowFunction(.unitLength(epsilon: value("eps", 1e-12)))
    case "cosine_similarity": return CosineSimilarity(epsilon: value("eps", 1e-8))
    case "maxpool", "avgpool":
      let kernel = attributes["kernel"]?.pair ?? .init(1)
      return Pooling(
        op == "maxpool" ? .maximum : .average(countsPadding: attributes["count_include_pad"]?.bool ?? true), kernel: kernel,
        stride: attributes["stride"]?.pair ?? kernel, padding: attributes["padding"]?.pair ?? .init(0), roundsUp: flag("ceil_mode"))
    case "adaptive_avg_1x1", "adaptive_avg_3x2": return AdaptivePooling(size: attributes["output"]?.pair ?? .init(1))
    case "adaptive_max_3x3": return AdaptivePooling(takesMaximum: true, size: attributes["output"]?.pair ?? .init(1))
    case "global_avg_pool": return Mean(over: .positions)
    case "token": return Mean(over: .tokens)
    case "add": return parameters.isEmpty ? Add() : AddParameter()
    case "mul": return Multiply()
    case "concat": return parameters.isEmpty ? Concatenate() : PrependToken()
    case "reshape": return FlattenToTokens()
    case "shortcut_option_a":
      guard case .list(let channels)? = attributes["channels"], channels.count == 2 else { return nil }
      let (from, to) = (channels[0].int ?? 0, channels[1].int ?? 0)
      return Shortcut(stride: attributes["stride"]?.int ?? 1, channelsBefore: (to - from) / 2, outChannels: to)
    default: return nil
    }
  }

  private func convolution(_ shapes: [Shape]) -> Convolution {
    let kernel = attributes["kernel"]?.pair ?? .init(1)
    var padding = Convolution.Padding(0)
    switch attributes["padding"] {
    case .object(let sides)?:
      padding = .init(
        top: sides["top"]?.int ?? 0, bottom: sides["bottom"]?.int ?? 0, left: sides["left"]?.int ?? 0, right: sides["right"]?.int ?? 0)
    case let other?:
      if let pair = other.pair { padding = .init(top: pair.height, bottom: pair.height, left: pair.width, right: pair.width) }
    case nil: break
    }
    return Convolution(
      filters: shapes[1][0], kernel: kernel, stride: attributes["stride"]?.pair ?? .init(1), padding: padding,
      dilation: attributes["dilation"]?.pair ?? .init(1), groups: attributes["groups"]?.int ?? 1, hasBias: attributes["bias"]?.bool ?? false
    )
  }

  /// Where norm layers take their statistics from.
  var statistics: NormStatistics {
    let name = attributes["mode"]?.text ?? attributes["bn"]?.text ?? "source"
    switch name {
    case "batch", "track": return .batch
    case "alpha": return .blended(batchWeight: Float(attributes["alpha"]?.number ?? 0), variance: .unbiased, constant: false)
    case "robust":
      guard attributes["training"]?.bool == true else { return .stored }
      return .blended(batchWeight: Float(attributes["alpha"]?.number ?? 0), variance: .biased, constant: false)
    default: return .stored
    }
  }
}
