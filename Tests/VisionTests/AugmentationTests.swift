// Views of images against recorded ones, and their laws.

import Engine
import Foundation
import Safetensors
import TTATestKit
import Testing
import Vision

@Suite struct AugmentationTests {
  private struct Golden: Decodable {
    struct Parameters: Decodable {
      var order: [Int], brightness: Float, contrast: Float, saturation: Float, hue: Float, gamma: Float, angle: Float
      var tx: Int, ty: Int, scale: Float, sigma: Float, flip: Bool
    }
    struct Case: Decodable { var `case`: String, parameters: Parameters }
    var file: String, tolerance_abs: Float
    var cases: [Case]
  }

  @Test func recordedViews() throws {
    guard let folder = SharedFolders.golden?.appendingPathComponent("engine") else {
      return print("skipped: no golden folder (TTA_GOLDEN or TTA_SHARED)")
    }
    let golden = try JSONDecoder().decode(Golden.self, from: Data(contentsOf: folder.appendingPathComponent("augment.json")))
    let file = try SafetensorsFile(path: folder.appendingPathComponent(golden.file).path)
    let bytes = try file.bytes("images")
    let shape = try file.entry("images").shape
    let (count, side) = (shape[0], shape[1])
    var values = [Float](repeating: 0, count: shape.elementCount)
    for i in values.indices {
      let (image, pixel, channel) = (i / (3 * side * side), i / 3 % (side * side), i % 3)
      values[(image * 3 + channel) * side * side + pixel] = Float(bytes[i]) / 255
    }
    let images = Tensor(values, shape: [count, 3, side, side])
    let executor = Executor(threads: 2)
    for item in golden.cases {
      var parameters = AugmentationParameters()
      let p = item.parameters
      (parameters.order, parameters.brightness, parameters.contrast, parameters.saturation) = (
        p.order, p.brightness, p.contrast, p.saturation
      )
      (parameters.hue, parameters.gamma, parameters.angle, parameters.scale, parameters.flips) = (p.hue, p.gamma, p.angle, p.scale, p.flip)
      (parameters.shiftRight, parameters.shiftDown) = (p.tx, p.ty)
      try check(parameters.coloured(images), file.tensor("\(item.case).colour"), golden.tolerance_abs, "\(item.case) colour")
      parameters.sigma = p.sigma
      try check(parameters.apply(to: images, on: executor), file.tensor("\(item.case).full"), golden.tolerance_abs, "\(item.case) full")
      (parameters.sigma, parameters.reflects) = (0, true)
      try check(parameters.apply(to: images, on: executor), file.tensor("\(item.case).weak"), golden.tolerance_abs, "\(item.case) weak")
    }
    #expect(!golden.cases.isEmpty)
  }
  /// Rotation and hue run near discontinuities: half a percent of the samples may be further off.
  private func check(_ got: Tensor, _ expected: Tensor, _ tolerance: Float, _ name: String) {
    let beyond = zip(got.values, expected.values).filter { abs($0 - $1) > tolerance }.count
    #expect(Double(beyond) <= 0.005 * Double(expected.elementCount), "\(name): \(beyond) of \(expected.elementCount) samples differ")
  }

  private func noise(_ count: Int, side: Int) -> Tensor {
    var random = RandomSource(seed: 3)
    return Tensor((0..<count * 3 * side * side).map { _ in random.uniform() }, shape: [count, 3, side, side])
  }
  @Test func withoutParametersNothingChanges() throws {
    let images = noise(2, side: 16)
    let view = try AugmentationParameters().apply(to: images, on: Executor(threads: 1))
    #expect(largestDifference(view, images) < 2e-6)
  }
  @Test func flippedTwiceIsTheImage() throws {
    let (images, executor) = (noise(2, side: 15), Executor(threads: 1))
    var flip = AugmentationParameters()
    flip.flips = true
    let once = try flip.apply(to: images, on: executor)
    #expect(largestDifference(once, images) > 0.1)
    #expect(try largestDifference(flip.apply(to: once, on: executor), images) < 4e-6)
  }
  @Test func viewsDependOnTheSeedAlone() throws {
    let images = noise(5, side: 32)
    for augmentation in [StrongAugmentation() as any Augmentation, WeakAugmentation()] {
      var (one, same, other) = (RandomSource(seed: 7), RandomSource(seed: 7), RandomSource(seed: 8))
      let first = try augmentation.view(0, of: images, using: &one, on: Executor(threads: 1))
      #expect(try augmentation.view(0, of: images, using: &same, on: Executor(threads: 2)) == first)
      #expect(try augmentation.view(0, of: images, using: &other, on: Executor(threads: 2)) != first)
      #expect(try augmentation.view(1, of: images, using: &one, on: Executor(threads: 2)) != first)
      #expect(first.values.allSatisfy { (0...1).contains($0) })
    }
  }
  @Test func noiseHasItsDeviation() throws {
    var parameters = AugmentationParameters()
    parameters.noise = 0.01
    let grey = Tensor(repeating: 0.5, shape: [8, 3, 32, 32])
    let values = try parameters.apply(to: grey, noiseSeed: 5, on: Executor(threads: 2)).values.map { Double($0) - 0.5 }
    let (mean, count) = (values.reduce(0, +) / Double(values.count), Double(values.count))
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count
    #expect(abs(mean) < 4 * 0.01 / count.squareRoot())
    #expect(abs(variance / 1e-4 - 1) < 4 * (2 / count).squareRoot())
  }
  @Test func drawnParametersStayInTheirRanges() {
    var random = RandomSource(seed: 1)
    for _ in 0..<500 {
      let drawn = AugmentationParameters.drawn(side: 32, strong: true, using: &random)
      #expect(drawn.order.sorted() == [0, 1, 2, 3, 4])
      #expect((0.6...1.4).contains(drawn.brightness) && (0.7...1.3).contains(drawn.contrast) && (0.5...1.5).contains(drawn.saturation))
      #expect((-0.06...0.06).contains(drawn.hue) && (0.7...1.3).contains(drawn.gamma) && (-15...15).contains(drawn.angle))
      #expect((-4...4).contains(drawn.shiftRight) && (-4...4).contains(drawn.shiftDown) && (0.9...1.1).contains(drawn.scale))
      #expect((0.001...0.5).contains(drawn.sigma) && drawn.noise == 0.005 && !drawn.reflects)
    }
  }
  @Test func onlySquareColourImages() throws {
    do {
      _ = try AugmentationParameters().apply(to: Tensor(zeros: [1, 3, 4, 5]), on: Executor(threads: 1))
      Issue.record("expected an error")
    } catch { #expect(error.message == "augmentation: expected square colour images, got 1×3×4×5") }
  }
}
