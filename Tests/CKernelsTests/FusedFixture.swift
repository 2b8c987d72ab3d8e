// Operands and epilogues with any subset of their parts, their evaluation in double, and the comparison with what a kernel wrote.
import CKernels
import Foundation
import Testing

/// Which parts of an operand and an epilogue a test uses.
struct Features: OptionSet, CustomStringConvertible {
  let rawValue: UInt32
  static let affine = Features(rawValue: 1 << 0)
  static let second = Features(rawValue: 1 << 1)
  static let secondAffine = Features(rawValue: 1 << 2)
  static let third = Features(rawValue: 1 << 3)
  static let relu = Features(rawValue: 1 << 4)
  static let relu6 = Features(rawValue: 1 << 5)
  static let store = Features(rawValue: 1 << 6)
  static let bias = Features(rawValue: 1 << 7)
  static let addend = Features(rawValue: 1 << 8)
  static let perImage = Features(rawValue: 1 << 9)
  static let mask = Features(rawValue: 1 << 10)
  static let maskAffine = Features(rawValue: 1 << 11)
  static let mask6 = Features(rawValue: 1 << 12)
  static let sumSource = Features(rawValue: 1 << 13)
  static let center = Features(rawValue: 1 << 14)
  static let moreSums = Features(rawValue: 1 << 15)
  static let moreSource = Features(rawValue: 1 << 16)
  static let silu = Features(rawValue: 1 << 17)
  static let maskSilu = Features(rawValue: 1 << 18)
  static let gate = Features(rawValue: 1 << 19)
  /// The operand leaves its signs; the mask comes from signs in place of a source.
  static let signs = Features(rawValue: 1 << 20)
  static let maskSigns = Features(rawValue: 1 << 21)

  var description: String { "features 0x" + String(rawValue, radix: 16) }

  /// Each part alone or with its relatives, and everything at once.
  static let combinations: [Features] = [
    [],
    [.affine, .relu],
    [.affine, .relu, .store, .center],
    [.affine, .second, .relu, .store, .bias],
    [.affine, .second, .secondAffine, .relu6, .store, .perImage],
    [.affine, .second, .third, .mask, .maskAffine, .sumSource, .center],
    [.third, .store, .addend, .mask6, .maskAffine, .sumSource, .center, .perImage],
    [.affine, .second, .addend, .mask, .sumSource, .center, .moreSums, .moreSource],
    [.affine, .second, .secondAffine, .third, .relu, .store, .bias, .addend, .mask, .sumSource, .moreSums, .perImage],
    [.second, .third, .relu6, .bias, .mask6, .moreSums, .moreSource, .sumSource],
    [.affine, .silu, .store, .maskSilu, .maskAffine, .sumSource, .center],
    [.affine, .silu, .gate, .perImage, .addend, .maskSilu],
    [.affine, .relu, .gate],
    [.affine, .second, .secondAffine, .relu, .store, .signs, .mask, .maskSigns, .sumSource, .center],
    [.affine, .second, .third, .relu, .signs, .addend, .mask, .maskSigns, .moreSums, .moreSource],
    [.affine, .relu6, .signs, .mask6, .maskSigns, .sumSource],
    [.relu6, .store, .signs, .perImage],
  ]
}

/// Inputs and outputs of one fused step.
final class FusedFixture {
  let features: Features
  let input: Blocked, result: Blocked
  var operand = ck_operand()
  var epilogue = ck_epilogue()
  let output: Buffer<Float>, stored: Buffer<Float>, signs: Buffer<UInt16>, sums: Buffer<Double>, moreSums: Buffer<Double>
  private var kept: [AnyObject] = []
  /// What the mask's signs were taken of.
  private var signed: UnsafePointer<Float>?

  init(input: Blocked, result: Blocked, features: Features, numbers: inout Numbers) {
    (self.input, self.result, self.features) = (input, result, features)
    output = Buffer(result.count, fill: .nan)
    stored = Buffer(input.count, fill: .nan)
    signs = Buffer(input.count / 16, fill: 0xAAAA)
    sums = Buffer(result.images * result.paddedChannels * 2, fill: .nan)
    moreSums = Buffer(result.images * result.paddedChannels * 2, fill: .nan)
    makeOperand(&numbers)
    makeEpilogue(&numbers)
  }

  private func keep(_ buffer: Buffer<Float>) -> UnsafePointer<Float> {
    kept.append(buffer)
    return UnsafePointer(buffer.pointer)
  }

  private func affine(_ layout: Blocked, _ numbers: inout Numbers) -> ck_affine {
    let perImage = features.contains(.perImage)
    let images = perImage ? layout.images : 1
    return ck_affine(
      scale: keep(numbers.perChannel(layout.channels, images: images)), shift: keep(numbers.perChannel(layout.channels, images: images)),
      image_stride: perImage ? layout.paddedChannels : 0)
  }

  private func makeOperand(_ numbers: inout Numbers) {
    operand.x = keep(numbers.blocked(input))
    if features.contains(.affine) { operand.affine = affine(input, &numbers) }
    if features.contains(.second) { operand.second = keep(numbers.blocked(input)) }
    if features.contains(.secondAffine) { operand.second_affine = affine(input, &numbers) }
    if features.contains(.third) { operand.third = keep(numbers.blocked(input)) }
    if features.contains(.relu) { operand.activation = CK_ACTIVATION_RELU }
    if features.contains(.relu6) { operand.activation = CK_ACTIVATION_RELU6 }
    if features.contains(.silu) { operand.activation = CK_ACTIVATION_SILU }
    // Factors exist for whole blocks only.
    if features.contains(.gate), input.channels % 16 == 0 {
      operand.gate = keep(numbers.perChannel(input.channels, images: input.images))
      operand.gate_stride = input.paddedChannels
    }
    if features.contains(.store) { operand.store = stored.pointer }
    if features.contains(.signs) { operand.signs = signs.pointer }
  }

  private func makeEpilogue(_ numbers: inout Numbers) {
    let perImage = features.contains(.perImage)
    let center = {
      (numbers: inout Numbers) in
      self.keep(numbers.perChannel(self.result.channels, images: perImage ? self.result.images : 1))
    }
    epilogue.output = output.pointer
    if features.contains(.bias) { epilogue.bias = keep(numbers.perChannel(result.channels)) }
    if features.contains(.addend) { epilogue.addend = keep(numbers.blocked(result)) }
    if !features.isDisjoint(with: [.mask, .mask6, .maskSilu]) {
      epilogue.mask.activation =
        features.contains(.mask) ? CK_ACTIVATION_RELU : features.contains(.mask6) ? CK_ACTIVATION_RELU6 : CK_ACTIVATION_SILU
      epilogue.mask.source = keep(numbers.blocked(result))
      if features.contains(.maskSigns) { takeSigns() }
      if features.contains(.maskAffine) { epilogue.mask.affine = affine(result, &numbers) }
    }
    epilogue.sums.sums = sums.pointer
    if features.contains(.sumSource) { epilogue.sums.source = keep(numbers.blocked(result)) }
    if features.contains(.center) {
      epilogue.sums.center = center(&numbers)
      epilogue.sums.center_stride = perImage ? result.paddedChannels : 0
    }
    guard features.contains(.moreSums) else { return }
    epilogue.more_sums.sums = moreSums.pointer
    epilogue.more_sums.center = center(&numbers)
    epilogue.more_sums.center_stride = perImage ? result.paddedChannels : 0
    if features.contains(.moreSource) { epilogue.more_sums.source = keep(numbers.blocked(result)) }
  }

  /// The mask's source as signs, a bit per lane.
  private func takeSigns() {
    guard let source = epilogue.mask.source else { return }
    let bits = Buffer<UInt16>(result.count / 16, fill: 0)
    for index in 0..<result.count where source[index] > 0 && (epilogue.mask.activation == CK_ACTIVATION_RELU || source[index] < 6) {
      bits.pointer[index / 16] |= 1 << UInt16(index % 16)
    }
    kept.append(bits)
    (signed, epilogue.mask.source, epilogue.mask.signs) = (source, nil, UnsafePointer(bits.pointer))
  }

  func clear() {
    output.fill(.nan)
    stored.fill(.nan)
    signs.fill(0xAAAA)
    sums.fill(.nan)
    moreSums.fill(.nan)
  }

  /// Everything a kernel wrote, for comparisons bit for bit.
  func written() -> [[UInt8]] { [output.bytes(), stored.bytes(), signs.bytes(), sums.bytes(), moreSums.bytes()] }

  private func apply(_ affine: ck_affine, _ image: Int, _ channel: Int, _ value: Float) -> Double {
    let index = image * affine.image_stride + channel
    return Double(value) * (affine.scale.map { Double($0[index]) } ?? 1) + (affine.shift.map { Double($0[index]) } ?? 0)
  }

  /// The operand in double.
  func evaluatedOperand() -> Reference {
    var reference = Reference(images: input.images, channels: input.channels, positions: input.positions)
    for image in 0..<input.images {
      for channel in 0..<input.channels {
        for position in 0..<input.positions {
          let index = input.index(image, channel, position)
          var value = apply(operand.affine, image, channel, operand.x[index])
          if let second = operand.second { value += apply(operand.second_affine, image, channel, second[index]) }
          if let third = operand.third { value += Double(third[index]) }
          switch operand.activation {
          case CK_ACTIVATION_RELU: value = max(0, value)
          case CK_ACTIVATION_RELU6: value = min(6, max(0, value))
          case CK_ACTIVATION_SILU: value /= 1 + exp(-value)
          default: break
          }
          if let gate = operand.gate { value *= Double(gate[image * operand.gate_stride + channel]) }
          reference.values[reference.index(image, channel, position)] = value
        }
      }
    }
    return reference
  }

  /// Compares what was written with bare results in double: output within `tolerance` of the largest value, padded lanes 0, sums of what was
  /// written, the stored operand.
  func check(bare: Reference, tolerance: Double, operandValues: Reference?, _ label: @autoclosure () -> String) {
    var error = 0.0, largest = 1e-9, padding: Float = 0
    for image in 0..<result.images {
      for channel in 0..<result.channels {
        for position in 0..<result.positions {
          let index = result.index(image, channel, position)
          var value = bare.values[bare.index(image, channel, position)]
          if let bias = epilogue.bias { value += Double(bias[channel]) }
          if let addend = epilogue.addend { value += Double(addend[index]) }
          largest = max(largest, abs(value))
          if let source = epilogue.mask.source ?? signed {
            let z = apply(epilogue.mask.affine, image, channel, source[index])
            // Float and double may disagree on which side of the bound a value lies that is within rounding of it.
            if abs(z) < 1e-6 || abs(z - 6) < 1e-6 { continue }
            if epilogue.mask.activation == CK_ACTIVATION_SILU {
              let sigmoid = 1 / (1 + exp(-z))
              value *= sigmoid * (1 + z * (1 - sigmoid))
            } else if z <= 0 || (epilogue.mask.activation == CK_ACTIVATION_RELU6 && z >= 6) {
              value = 0
            }
          }
          let difference = abs(value - Double(output[index]))
          error = difference <= error ? error : difference
        }
      }
      for channel in result.channels..<result.paddedChannels {
        for position in 0..<result.positions { padding = max(padding, abs(output[result.index(image, channel, position)])) }
      }
    }
    #expect(error / largest <= tolerance, "\(label()): output")
    #expect(padding == 0, "\(label()): padded lanes")
    checkSums(epilogue.sums, sums, "\(label()): sums")
    if features.contains(.moreSums) { checkSums(epilogue.more_sums, moreSums, "\(label()): more sums") }
    if features.contains(.store), let operandValues { checkStore(operandValues, label()) }
    if features.contains(.signs), let operandValues { checkSigns(operandValues, label()) }
  }
  private func checkSigns(_ expected: Reference, _ label: String) {
    var wrong = 0
    for image in 0..<input.images {
      for channel in 0..<input.channels {
        for position in 0..<input.positions {
          let value = expected.values[expected.index(image, channel, position)]
          let index = input.index(image, channel, position)
          let bit = signs[index / 16] >> UInt16(index % 16) & 1
          // Within rounding of a bound, either is right.
          if (value > 1e-6 || value == 0) && abs(value - 6) > 1e-6 || value == 6 {
            wrong += (bit == 1) == (value > 0 && (operand.activation == CK_ACTIVATION_RELU || value < 6)) ? 0 : 1
          }
        }
      }
    }
    #expect(wrong == 0, "\(label): signs of the operand")
  }

  private func checkStore(_ expected: Reference, _ label: String) {
    var error = 0.0
    for image in 0..<input.images {
      for channel in 0..<input.channels {
        for position in 0..<input.positions {
          let difference = abs(
            expected.values[expected.index(image, channel, position)] - Double(stored[input.index(image, channel, position)]))
          error = difference <= error ? error : difference
        }
      }
    }
    #expect(error <= 2e-6, "\(label): stored operand")
  }

  private func checkSums(_ described: ck_sums, _ written: Buffer<Double>, _ label: String) {
    var error = 0.0, largest = 1e-9
    for image in 0..<result.images {
      for channel in 0..<result.channels {
        let center = described.center.map { Double($0[image * described.center_stride + channel]) } ?? 0
        var first = 0.0, second = 0.0
        for position in 0..<result.positions {
          let index = result.index(image, channel, position)
          let value = Double(output[index])
          if let source = described.source {
            first += value
            second += value * (Double(source[index]) - center)
          } else {
            first += value - center
            second += (value - center) * (value - center)
          }
        }
        let base = (image * result.paddedChannels + channel) * 2
        largest = max(largest, abs(first), abs(second))
        let difference = max(abs(first - written[base]), abs(second - written[base + 1]))
        error = difference <= error ? error : difference
      }
    }
    #expect(error / largest <= 5e-6, Comment(rawValue: label))
  }

  /// Runs a step with 1, 2 and 3 workers and expects the same bits.
  func runOnAll(_ pools: Pools, _ label: @autoclosure () -> String, _ step: (OpaquePointer) -> Void) {
    var first: [[UInt8]] = []
    for (index, pool) in pools.all.enumerated() {
      clear()
      step(pool)
      if index == 0 { first = written() } else { #expect(written() == first, "\(label()): \(index + 1) workers") }
    }
  }
}
