// The random cut of training programs.

import Engine
import Foundation
import Testing
import Vision

@Suite struct RandomCropTests {
  /// Red grows from left to right, green from top to bottom: a part tells where it was.
  private func ramp(_ width: Int, _ height: Int) -> Image {
    var pixels: [UInt8] = []
    for y in 0..<height {
      for x in 0..<width { pixels += [UInt8(255 * x / (width - 1)), UInt8(255 * y / (height - 1)), 0] }
    }
    return Image(width: width, height: height, pixels: pixels)
  }

  @Test func partsHaveTheirLaw() {
    let image = ramp(256, 256)
    var random = RandomSource(seed: 3)
    var (mirrored, areas, logs) = (0, [Double](), [Double]())
    for _ in 0..<2_000 {
      let cut = RandomResizedCrop().apply(to: image, width: 64, height: 64, &random)
      func sample(_ x: Int, _ y: Int, _ channel: Int) -> Double { Double(cut.pixels[(y * 64 + x) * 3 + channel]) }
      let (across, down) = (sample(63, 32, 0) - sample(0, 32, 0), sample(32, 63, 1) - sample(32, 0, 1))
      mirrored += across < 0 ? 1 : 0
      let (width, height) = (abs(across) / 63 * 64 / 255, down / 63 * 64 / 255)
      areas.append(width * height)
      if width * height < 0.5 { logs.append(log2(width / height)) }
    }
    #expect((920...1_080).contains(mirrored))
    // Areas are uniform in 0.08 … 1 (large ones are drawn again when they do not fit), ratios within 3/4 … 4/3.
    #expect(areas.min() ?? 0 > 0.07 && areas.min() ?? 1 < 0.1 && areas.max() ?? 0 > 0.9)
    let small = areas.count { $0 < 0.31 }
    #expect((520...660).contains(small), "\(small)")
    #expect(logs.allSatisfy { abs($0) < 0.47 } && abs(logs.reduce(0, +) / Double(logs.count)) < 0.03)
  }
  @Test func elongatedPicturesGiveTheirMiddle() {
    var random = RandomSource(seed: 1)
    let cut = RandomResizedCrop().apply(to: ramp(400, 4), width: 8, height: 8, &random)
    // Every try of 8 % of the area or more is higher than 4 rows: the middle 5 columns remain.
    let reds = stride(from: 0, to: cut.pixels.count, by: 3).map { Int(cut.pixels[$0]) }
    #expect(reds.allSatisfy { (124...131).contains($0) })
  }
}
