// Steps between the passes of a fused norm layer: from sums to coefficients.

internal import CKernels

/// From the moments of a value to the scale and shift that normalise it.
final class NormForward: PlanStep {
  let name: String
  let norm: FusedNorm
  /// Sums of the input, and where their centre lies; nil where nobody needs moments.
  let sums: BufferID?, center: BufferID?

  init(_ name: String, _ norm: FusedNorm, sums: BufferID?, center: BufferID?) {
    (self.name, self.norm, self.sums, self.center) = (name, norm, sums, center)
  }
  var label: String { "\(name): coefficients" }
  func run(_ frame: borrowing Frame) {
    switch norm.kind {
    case .batch(let operation): batch(operation, frame)
    case .group(let operation): group(operation, frame)
    }
  }
  private func batch(_ operation: BatchNorm, _ frame: borrowing Frame) {
    let (channels, padded) = (norm.channels, norm.padded)
    let (kept, out) = (frame.doubles(norm.kept), frame.floats(norm.coefficients))
    let (gamma, beta) = (frame.parameters.pointer(norm.scale), frame.parameters.pointer(norm.shift))
    let count = Double(frame.images * norm.positions)
    kept.update(repeating: 0, count: 2 * channels)
    if let sums {
      let table = frame.doubles(sums)
      let origin = center.map { frame.floats($0) }
      for image in 0..<frame.images {
        let row = table + image * 2 * padded
        for c in 0..<channels {
          kept[c] += row[2 * c]
          kept[channels + c] += row[2 * c + 1]
        }
      }
      for c in 0..<channels {
        let shifted = kept[c] / count
        kept[channels + c] = max(0, kept[channels + c] / count - shifted * shifted)
        kept[c] = shifted + Double(origin?[c] ?? 0)
      }
    }
    let mean = norm.runningMean.map { frame.parameters.pointer($0) }
    let variance = norm.runningVariance.map { frame.parameters.pointer($0) }
    for c in 0..<channels {
      let channel = ChannelStatistics(
        batchMean: kept[c], batchVariance: kept[channels + c], count: count, storedMean: Double(mean?[c] ?? 0),
        storedVariance: Double(variance?[c] ?? 1))
      let used = ChannelNorm(channel, frame.statistics, epsilon: Double(operation.epsilon))
      kept[2 * channels + c] = used.mean
      kept[3 * channels + c] = used.inverseDeviation
      let scale = Double(gamma[c]) * used.inverseDeviation
      out[c] = Float(scale)
      out[padded + c] = Float(Double(beta[c]) - used.mean * scale)
      out[2 * padded + c] = Float(used.mean)
    }
    for set in 0..<3 { (out + set * padded + channels).update(repeating: 0, count: padded - channels) }
  }
  private func group(_ operation: GroupNorm, _ frame: borrowing Frame) {
    guard let sums else { return }
    let (channels, padded, share) = (norm.channels, norm.padded, norm.channels / operation.groups)
    let (gamma, beta) = (frame.parameters.pointer(norm.scale), frame.parameters.pointer(norm.shift))
    let count = Double(share * norm.positions)
    for image in 0..<frame.images {
      let row = frame.doubles(sums) + image * 2 * padded
      let kept = frame.doubles(norm.kept) + image * 2 * operation.groups
      let out = frame.floats(norm.coefficients) + image * 3 * padded
      for group in 0..<operation.groups {
        var (sum, squares) = (0.0, 0.0)
        for c in group * share..<(group + 1) * share {
          sum += row[2 * c]
          squares += row[2 * c + 1]
        }
        let mean = sum / count
        let inverse = 1 / (max(0, squares / count - mean * mean) + Double(operation.epsilon)).squareRoot()
        kept[2 * group] = mean
        kept[2 * group + 1] = inverse
        for c in group * share..<(group + 1) * share {
          let scale = Double(gamma[c]) * inverse
          out[c] = Float(scale)
          out[padded + c] = Float(Double(beta[c]) - mean * scale)
          out[2 * padded + c] = Float(mean)
        }
      }
      for set in 0..<3 { (out + set * padded + channels).update(repeating: 0, count: padded - channels) }
    }
  }
}

/// From two sums of the arriving gradient to the factors of the backward and the gradients of scale and shift.
final class NormBackward: PlanStep {
  let name: String
  let norm: FusedNorm
  /// Sums of the gradient: Σ g, Σ g (z − mean); nil where neither statistics nor parameters need them.
  let sums: BufferID?
  let scaleGradient: BufferID?, shiftGradient: BufferID?

  init(_ name: String, _ norm: FusedNorm, sums: BufferID?, scaleGradient: BufferID?, shiftGradient: BufferID?) {
    (self.name, self.norm, self.sums) = (name, norm, sums)
    (self.scaleGradient, self.shiftGradient) = (scaleGradient, shiftGradient)
  }
  var label: String { "\(name): backward coefficients" }
  func run(_ frame: borrowing Frame) {
    switch norm.kind {
    case .batch(let operation): batch(operation, frame)
    case .group(let operation): group(operation, frame)
    }
  }
  private func batch(_ operation: BatchNorm, _ frame: borrowing Frame) {
    let (channels, padded) = (norm.channels, norm.padded)
    let (kept, used) = (frame.doubles(norm.kept), frame.floats(norm.coefficients) + 2 * norm.padded)
    let out = frame.floats(norm.gradientCoefficients)
    let gamma = frame.parameters.pointer(norm.scale)
    let mean = norm.runningMean.map { frame.parameters.pointer($0) }
    let variance = norm.runningVariance.map { frame.parameters.pointer($0) }
    for c in 0..<channels {
      var (sum, product) = (0.0, 0.0)
      if let sums {
        let table = frame.doubles(sums) + 2 * c
        for image in 0..<frame.images {
          sum += table[image * 2 * padded]
          product += table[image * 2 * padded + 1]
        }
      }
      let channel = ChannelStatistics(
        batchMean: kept[c], batchVariance: kept[channels + c], count: Double(frame.images * norm.positions),
        storedMean: Double(mean?[c] ?? 0), storedVariance: Double(variance?[c] ?? 1))
      let layer = ChannelNorm(channel, frame.statistics, epsilon: Double(operation.epsilon))
      // The kernel centred with the rounded mean.
      product += (Double(used[c]) - layer.mean) * sum
      let (a, b, constant) = layer.gradient(
        channel, frame.statistics, epsilon: Double(operation.epsilon), scale: Double(gamma[c]), sum: sum, product: product)
      out[c] = Float(a)
      out[padded + c] = Float(b)
      out[2 * padded + c] = Float(constant - b * layer.mean)
      if let scaleGradient { frame.floats(scaleGradient)[c] = Float(product * layer.inverseDeviation) }
      if let shiftGradient { frame.floats(shiftGradient)[c] = Float(sum) }
    }
    for set in 0..<3 { (out + set * padded + channels).update(repeating: 0, count: padded - channels) }
  }
  private func group(_ operation: GroupNorm, _ frame: borrowing Frame) {
    guard let sums else { return }
    let (channels, padded, share) = (norm.channels, norm.padded, norm.channels / operation.groups)
    let gamma = frame.parameters.pointer(norm.scale)
    let count = Double(share * norm.positions)
    for image in 0..<frame.images {
      let row = frame.doubles(sums) + image * 2 * padded
      let kept = frame.doubles(norm.kept) + image * 2 * operation.groups
      let out = frame.floats(norm.gradientCoefficients) + image * 3 * padded
      for group in 0..<operation.groups {
        let (mean, inverse) = (kept[2 * group], kept[2 * group + 1])
        var (sum, product) = (0.0, 0.0)
        for c in group * share..<(group + 1) * share {
          // The kernel centred with the rounded mean.
          row[2 * c + 1] += (Double(Float(mean)) - mean) * row[2 * c]
          sum += Double(gamma[c]) * row[2 * c]
          product += Double(gamma[c]) * row[2 * c + 1]
        }
        let b = -inverse * inverse * inverse * product / count
        let constant = -inverse * sum / count - b * mean
        for c in group * share..<(group + 1) * share {
          out[c] = Float(Double(gamma[c]) * inverse)
          out[padded + c] = Float(b)
          out[2 * padded + c] = Float(constant)
        }
      }
      for set in 0..<3 { (out + set * padded + channels).update(repeating: 0, count: padded - channels) }
    }
    parameterGradients(operation, frame, sums)
  }
  private func parameterGradients(_ operation: GroupNorm, _ frame: borrowing Frame, _ sums: BufferID) {
    let (padded, share) = (norm.padded, norm.channels / operation.groups)
    for c in 0..<norm.channels {
      var (sum, product) = (0.0, 0.0)
      for image in 0..<frame.images {
        let row = frame.doubles(sums) + image * 2 * padded + 2 * c
        sum += row[0]
        product += row[1] * frame.doubles(norm.kept)[(image * operation.groups + c / share) * 2 + 1]
      }
      if let scaleGradient { frame.floats(scaleGradient)[c] = Float(product) }
      if let shiftGradient { frame.floats(shiftGradient)[c] = Float(sum) }
    }
  }
}
