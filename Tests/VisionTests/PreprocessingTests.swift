// Pictures prepared for a model.

import Engine
import Foundation
import Testing
import Vision
import VisionTestSupport

@Suite struct PreprocessingTests {
  @Test func imageNetsProtocol() throws {
    let image = Patterns.noise(width: 500, height: 375)
    let result = try Preprocessing.imageNet.apply(to: image, name: "a.jpg")
    #expect(result == image.resized(width: 341, height: 256, .bilinear).centerCropped(width: 224, height: 224))
  }

  @Test func anotherSizeIsAnError() {
    let error = errorThrown { try Preprocessing.exactly(32).apply(to: Patterns.flat(0, width: 40, height: 30), name: "a.png") }
    #expect(error?.message == "\"a.png\" has 40×30 pixels, the model expects 32×32")
    #expect(error?.hint == "give a resize size (--resize) or a centre crop")
    let resized = Preprocessing(resize: .shortSide(16), inputHeight: 32, inputWidth: 32)
    #expect(
      errorThrown { try resized.apply(to: Patterns.flat(0, width: 40, height: 30), name: "a.png") }?.message
        == "\"a.png\" has 21×16 (from 40×30) pixels, the model expects 32×32")
    #expect(
      errorThrown { try Preprocessing.imageNet.apply(to: Patterns.flat(0, width: 60_000, height: 1), name: "line.png") }?.message
        == "\"line.png\" has 60000×1 pixels, too elongated for a shorter side of 256")
  }

  @Test func codingKeepsEverything() throws {
    let values = [
      Preprocessing.imageNet, .exactly(32),
      Preprocessing(resize: .exact(height: 40, width: 50), interpolation: .bicubic, centerCrop: true, inputHeight: 32, inputWidth: 48),
    ]
    for value in values { #expect(try JSONDecoder().decode(Preprocessing.self, from: JSONEncoder().encode(value)) == value) }
    #expect(
      try JSONDecoder().decode([Preprocessing.Resize].self, from: Data("[256, [2, 3]]".utf8)) == [
        .shortSide(256), .exact(height: 2, width: 3),
      ])
    #expect(
      errorThrown { try JSONDecoder().decode([Preprocessing.Resize].self, from: Data("[-1]".utf8)) }?.message
        == "resize must be a positive number or [height, width]")
  }
}

@Suite struct ImageBatchTests {
  @Test func everySampleIsDividedBy255() {
    let image = Image(width: 256, height: 1, pixels: (0..<256).flatMap { [UInt8($0), UInt8(255 - $0), 7] })
    let values = ImageBatch.tensor(of: [image, image]).values
    for i in 0..<256 {
      #expect(values[i] == Float(i) / 255 && values[256 + i] == Float(255 - i) / 255 && values[512 + i] == Float(7) / 255)
    }
    #expect(Array(values[..<768]) == Array(values[768...]))
  }

  @Test func memoryAndPicturesGiveTheSameBatch() {
    let images = [Patterns.noise(width: 5, height: 4), Patterns.reference(side: 5).resized(width: 5, height: 4, .box)]
    let joined = images.flatMap(\.pixels)
    let batch = ImageBatch.tensor(of: images)
    #expect(batch.shape == [2, 3, 4, 5])
    #expect(joined.withUnsafeBytes { ImageBatch.tensor(of: $0, count: 2, height: 4, width: 5) } == batch)
    #expect((0..<2).map { ImageBatch.image($0, of: batch) } == images)
  }

  @Test func nothingGivesNoRows() { #expect(ImageBatch.tensor(of: []).shape == [0, 3, 0, 0]) }
}
