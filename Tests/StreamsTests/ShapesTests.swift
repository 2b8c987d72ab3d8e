// The built-in pictures: their bytes are part of the product.

import CShapes
import Streams
import Testing
import Vision
import VisionTestSupport

@Suite struct ShapesTests {
  private func bytes(_ set: ShapesDataset, _ range: Range<Int>) -> [UInt8] { range.flatMap { set.render($0).pixels } }

  @Test func publishedChecksums() {
    #expect(crc32(bytes(.test, 0..<1)) == 0xE654_2EE8)
    #expect(crc32(bytes(.test, 0..<10)) == 0xF814_8C77)
    #expect(crc32(bytes(.test, 0..<1000)) == 0x1EDF_341E)
    let far = ShapesDataset(1 << 32..<1 << 32 + 10, seed: 1 << 32 + 1)
    #expect(crc32(bytes(far, 0..<10)) == 0x8E94_726D)
  }

  @Test func publishedPixels() {
    let picture = ShapesDataset.test.render(0)
    let row = Array(picture.pixels[(16 * 32 + 14) * 3..<(16 * 32 + 18) * 3])
    #expect(row == [148, 127, 89, 152, 131, 93, 154, 133, 95, 154, 132, 94])
  }

  @Test func labels() {
    let set = ShapesDataset.test
    #expect((0..<20).map { set.label(at: $0) } == [3, 5, 0, 9, 9, 7, 4, 8, 2, 9, 1, 0, 4, 9, 2, 1, 8, 4, 3, 5])
    let counts = (0..<1000).reduce(into: [Int](repeating: 0, count: 10)) { $0[set.label(at: $1) ?? 0] += 1 }
    #expect(counts.min() == 86 && counts.max() == 110)
    #expect(set.classNames?.count == 10 && set.count == 10_000 && set.name(at: 7) == "shapes 7")
  }

  /// A picture is the same alone, in a batch, and whatever the instruction set.
  @Test(arguments: [CSHAPES_PORTABLE, CSHAPES_AVX2, CSHAPES_AVX512]) func variantsWriteTheSameBytes(_ variant: cshapes_variant) {
    let count = 200
    var pixels = [UInt8](repeating: 0, count: count * 3072)
    var labels = [Int32](repeating: -1, count: count)
    guard cshapes_render(variant, &pixels, &labels, 3, 5000, count) == 1 else {
      #expect(pixels.allSatisfy { $0 == 0 })
      return
    }
    let set = ShapesDataset(5000..<5200, seed: 3)
    #expect(pixels == bytes(set, 0..<count))
    #expect(labels.map(Int.init) == (0..<count).map { set.label(at: $0) ?? -1 })
  }

  @Test func rangesDoNotOverlap() {
    #expect(ShapesDataset.training(seed: 0).range == 1 << 20..<(1 << 20 + 1 << 24))
    #expect(ShapesDataset.training(seed: 1).range.lowerBound == ShapesDataset.training(seed: 0).range.upperBound)
    #expect(ShapesDataset.validation.range == 100_000..<110_000)
  }
}
