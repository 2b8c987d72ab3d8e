// Resizing to the bit as Pillow, cropping as torchvision.

import Foundation
import Testing
import Vision
import VisionTestSupport

struct ResamplingCase: Decodable, Sendable, CustomTestStringConvertible {
  var from: [Int]
  var to: [Int]
  var filter: Interpolation
  var crc32: UInt32
  var testDescription: String { "\(from[0])×\(from[1]) to \(to[0])×\(to[1]) \(filter)" }
  static let all = (try? References.decode([ResamplingCase].self, References.goldens.appending(path: "resampling.json"))) ?? []
}

@Suite struct ResamplingTests {
  @Test func thereAreCases() { #expect(ResamplingCase.all.count == 48) }

  @Test(arguments: ResamplingCase.all) func resizesAsPillow(_ item: ResamplingCase) {
    let image = Patterns.noise(width: item.from[0], height: item.from[1]).resized(width: item.to[0], height: item.to[1], item.filter)
    #expect(image.width == item.to[0] && image.height == item.to[1])
    #expect(crc32(image.pixels) == item.crc32)
  }

  @Test(arguments: Interpolation.allCases) func flatPicturesStayFlat(_ filter: Interpolation) {
    for level in [0, 1, 127, 254, 255] {
      #expect(
        Patterns.flat(level, width: 33, height: 21).resized(width: 50, height: 9, filter) == Patterns.flat(level, width: 50, height: 9))
    }
  }

  @Test func theShorterSideRules() {
    #expect(Patterns.flat(0, width: 500, height: 375).resized(shortSide: 256, .bilinear).sizeText == "341×256")
    #expect(Patterns.flat(0, width: 333, height: 500).resized(shortSide: 256, .bilinear).sizeText == "256×384")
    #expect(Patterns.flat(0, width: 40, height: 40).resized(shortSide: 7, .box).sizeText == "7×7")
  }

  /// Offsets of Python's `int(round((size - crop) / 2.0))`, which rounds halves to even, and of its padding.
  @Test(arguments: [(341, 224, 58), (225, 224, 0), (227, 224, 2), (229, 224, 2), (224, 224, 0), (10, 13, -1), (10, 14, -2)])
  func cropsTheMiddle(_ size: Int, _ crop: Int, _ offset: Int) {
    let image = Patterns.noise(width: size, height: 3)
    let cropped = image.centerCropped(width: crop, height: 3)
    for x in 0..<crop {
      let expected = (0..<size).contains(x + offset) ? Array(image.pixels[(x + offset) * 3..<(x + offset) * 3 + 3]) : [0, 0, 0]
      #expect(Array(cropped.pixels[x * 3..<x * 3 + 3]) == expected)
    }
  }
}
