// Decoding as Pillow does, and refusing damaged files.

import Engine
import Foundation
import Testing
import Vision
import VisionTestSupport

struct PictureCase: Decodable, Sendable, CustomTestStringConvertible {
  var file: String
  var width: Int
  var height: Int
  var crc32: UInt32
  var testDescription: String { file }
  var bytes: [UInt8] { get throws { try [UInt8](Data(contentsOf: References.goldens.appending(path: "pictures/\(file)"))) } }

  static let all = (try? References.decode([PictureCase].self, References.goldens.appending(path: "pictures/expected.json"))) ?? []
}

@Suite struct CodecTests {
  @Test func thereAreCases() { #expect(PictureCase.all.count == 27) }

  @Test(arguments: PictureCase.all) func decodesAsPillow(_ item: PictureCase) throws {
    let image = try ImageCodec.decode(item.bytes, name: item.file)
    #expect(image.width == item.width && image.height == item.height)
    #expect(crc32(image.pixels) == item.crc32)
  }

  /// No prefix of a file is a picture, and none is anything but an error.
  @Test(arguments: PictureCase.all) func everyTruncationIsAnError(_ item: PictureCase) throws {
    let bytes = try item.bytes
    for length in 0..<bytes.count {
      let error = errorThrown { try ImageCodec.decode(Array(bytes[..<length]), name: item.file) }
      #expect(error?.code == .invalidData, "\(length) of \(bytes.count) bytes")
    }
  }

  /// Flipping bits gives a picture of the same bounds or an error, nothing else.
  @Test(arguments: PictureCase.all) func damagedBytesAreSafe(_ item: PictureCase) throws {
    let bytes = try item.bytes
    for position in bytes.indices {
      for flip: UInt8 in [1, 0x80, 0xFF] {
        var damaged = bytes
        damaged[position] ^= flip
        let image = try? ImageCodec.decode(damaged, name: item.file, limits: ImageLimits(maxPixels: 100_000))
        #expect(image.map { $0.pixels.count <= 300_000 } ?? true)
      }
    }
  }

  @Test func pngKeepsEverySample() throws {
    for (width, height) in [(1, 1), (7, 5), (64, 33)] {
      let image = Patterns.noise(width: width, height: height)
      for level in [0, 6, 9] { #expect(try ImageCodec.decode(ImageCodec.png(image, level: level), name: "made") == image) }
    }
  }

  @Test func jpegComesCloseAndImprovesWithQuality() throws {
    let image = Patterns.reference(side: 64)
    let errors = try [10, 50, 85, 100].map { quality in
      let decoded = try ImageCodec.decode(ImageCodec.jpeg(image, quality: quality), name: "made")
      return zip(image.pixels, decoded.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    }
    #expect(errors == errors.sorted(by: >))
  }

  @Test func limitsComeBeforeMemory() throws {
    let bytes = try ImageCodec.png(Patterns.flat(9, width: 101, height: 100))
    let error = errorThrown { try ImageCodec.decode(bytes, name: "big.png", limits: ImageLimits(maxPixels: 10_000)) }
    #expect(error?.message == "\"big.png\": 101×100 pixels, at most 10000 are allowed")
    #expect(error?.hint == "scale the picture down or raise the limit")
    let jpeg = try ImageCodec.jpeg(Patterns.flat(9, width: 101, height: 100), quality: 80)
    let other = errorThrown { try ImageCodec.decode(jpeg, name: "big.jpg", limits: ImageLimits(maxPixels: 10_000)) }
    #expect(other?.message == "\"big.jpg\": 101×100 pixels, at most 10000 are allowed")
  }

  @Test func messagesSayWhatAndWhere() throws {
    func message(_ bytes: [UInt8]) -> String? { errorThrown { try ImageCodec.decode(bytes, name: "a.png") }?.message }
    #expect(message([]) == "\"a.png\" is neither PNG nor JPEG: it is empty")
    #expect(message(Array("GIF89a, not ours".utf8)) == "\"a.png\" is neither PNG nor JPEG: it starts with 47 49 46 38 39 61 2C 20")
    let png = try ImageCodec.png(Patterns.noise(width: 9, height: 9))
    #expect(message(Array(png.dropLast(20))) == "\"a.png\" is a damaged PNG: the file ends early")
    let jpeg = try ImageCodec.jpeg(Patterns.noise(width: 64, height: 64), quality: 90)
    #expect(message(Array(jpeg.dropLast(200))) == "\"a.png\" is a damaged JPEG: the file ends early")
    // The end marker moved forward: libjpeg would fill the rest with grey.
    #expect(
      message(Array(jpeg.dropLast(200)) + [0xFF, 0xD9]) == "\"a.png\" is a damaged JPEG: Corrupt JPEG data: premature end of data segment")
    #expect(
      errorThrown { try ImageCodec.jpeg(Patterns.flat(0, width: 1, height: 1), quality: 0) }?.message == "JPEG quality 0, expected 1...100")
    let wide = Patterns.flat(0, width: 70_000, height: 1)
    #expect(errorThrown { try ImageCodec.jpeg(wide, quality: 90) }?.code == .unsupported)
  }

  @Test func filesAreCheckedBeforeReading() throws {
    try References.withTemporaryFolder { folder in
      let missing = folder.appending(path: "none.png").path
      let error = errorThrown { try ImageCodec.load(missing) }
      #expect(error?.code == .missingInput && error?.message == "\"\(missing)\" does not exist")
      #expect(errorThrown { try ImageCodec.load(folder.path) }?.message == "\"\(folder.path)\" is not a file")
      let path = folder.appending(path: "a.jpg").path
      try Data(ImageCodec.png(Patterns.noise(width: 3, height: 2))).write(to: URL(fileURLWithPath: path))
      #expect(try ImageCodec.load(path) == Patterns.noise(width: 3, height: 2))
      #expect(
        errorThrown { try ImageCodec.load(path, limits: ImageLimits(maxFileBytes: 20)) }?.message.hasSuffix("bytes, at most 20 are allowed")
          == true)
    }
  }
}
