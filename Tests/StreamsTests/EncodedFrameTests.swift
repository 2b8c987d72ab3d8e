// Pictures from a pipe, each after its length.

import Engine
import Foundation
import Streams
import Testing
import Vision
import VisionTestSupport

/// A pipe that pictures are written to.
private final class Sender {
  private var pair: [Int32] = [0, 0]
  var output: Int32 { pair[0] }
  init() { precondition(pipe(&pair) == 0) }
  deinit { close(pair[0]) }
  func send(_ bytes: [UInt8]) { precondition(write(pair[1], bytes, bytes.count) == bytes.count) }
  func send(picture: [UInt8]) { send((0..<4).reversed().map { UInt8(picture.count >> (8 * $0) & 255) } + picture) }
  func end() { close(pair[1]) }
}

@Suite struct EncodedFrameTests {
  private let images = (0..<3).map { Patterns.flat(40 * $0, width: 5, height: 4) }
  private func batches(limits: ImageLimits = .standard, _ send: (Sender) throws -> Void) throws -> [FrameBatch] {
    let sender = Sender()
    let reader = try EncodedFrameReader(descriptor: sender.output, batchSize: 2, maxWait: nil, limits: limits)
    try send(sender)
    sender.end()
    var batches = [FrameBatch]()
    while let batch = reader.next() { batches.append(batch) }
    return batches
  }

  @Test func picturesComeInOrder() throws {
    let batches = try batches { sender in
      sender.send(picture: try ImageCodec.png(images[0]))
      sender.send(picture: try ImageCodec.jpeg(images[1], quality: 100))
      sender.send(picture: try ImageCodec.png(images[2]))
    }
    #expect(batches.map(\.numbers) == [[0, 1], [2]])
    #expect(batches[0].images[0] == images[0] && batches[1].images[0] == images[2])
    #expect(PictureDifference(batches[0].images[1], images[1]).largest <= 2)
    #expect(batches.allSatisfy { $0.failure == nil && $0.damaged.isEmpty })
  }

  @Test func damagedPicturesAreLeftOut() throws {
    let batches = try batches { sender in
      sender.send(picture: Array(try ImageCodec.png(images[0]).dropLast(20)))
      sender.send(picture: Array("no picture".utf8))
      sender.send(picture: try ImageCodec.png(images[2]))
    }
    #expect(batches.map(\.numbers) == [[], [2]] && batches[1].images == [images[2]])
    #expect(
      batches[0].damaged.map(\.error.message) == [
        "\"picture 0\" is a damaged PNG: the file ends early",
        "\"picture 1\" is neither PNG nor JPEG: it starts with 6E 6F 20 70 69 63 74 75",
      ])
    #expect(batches[1].failure == nil)
  }

  @Test func hostileLengthsEndTheStream() throws {
    for (length, text) in [([0, 0, 0, 0], "0"), ([0xFF, 0xFF, 0xFF, 0xFF], "4294967295"), ([0x10, 0, 0, 1], "268435457")]
      as [([UInt8], String)]
    {
      let batches = try batches { sender in
        sender.send(picture: try ImageCodec.png(images[0]))
        sender.send(length + [1, 2, 3])
      }
      #expect(batches.map(\.numbers) == [[0]])
      #expect(batches[0].failure?.message == "picture 1 has a length of \(text) bytes, expected 1...268435456")
      #expect(batches[0].failure?.hint == "send for each picture its length as 4 bytes, the highest first, then the PNG or JPEG")
    }
  }

  @Test func cutsAreReported() throws {
    func failure(_ bytes: [UInt8]) throws -> String? { try batches { $0.send(bytes) }.last?.failure?.message }
    #expect(try failure([0, 0]) == "picture 0 is incomplete: expected 4 bytes of length, got 2")
    #expect(try failure([0, 0, 0, 9]) == "picture 0 is incomplete: expected 9 bytes, got 0")
    #expect(try failure([0, 0, 0, 9, 1, 2]) == "picture 0 is incomplete: expected 9 bytes, got 2")
    // A long promise costs no more memory than what arrives.
    #expect(try failure([0x0F, 0xFF, 0xFF, 0xFF, 1]) == "picture 0 is incomplete: expected 268435455 bytes, got 1")
  }

  @Test func limitsHold() throws {
    let batches = try batches(limits: ImageLimits(maxPixels: 10)) { $0.send(picture: try ImageCodec.png(images[0])) }
    #expect(batches[0].damaged.map(\.error.message) == ["\"picture 0\": 5×4 pixels, at most 10 are allowed"])
  }

  @Test func impossibleBatchesAreRefused() {
    #expect(
      errorThrown { try EncodedFrameReader(descriptor: 0, batchSize: 0, maxWait: nil) }?.message == "batch size 0, expected 1 or more")
  }
}
