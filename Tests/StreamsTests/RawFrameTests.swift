// Live frames: when batches close, and how streams end.

import Engine
import Foundation
import Streams
import Testing
import Vision
import VisionTestSupport

/// A pipe whose writing end sends frames of 4×2 pixels.
private final class Camera {
  private var pair: [Int32] = [0, 0]
  var output: Int32 { pair[0] }
  init() { precondition(pipe(&pair) == 0) }
  deinit { close(pair[0]) }

  func send(_ levels: Range<Int>) { for level in levels { send(Patterns.flat(level, width: 4, height: 2).pixels) } }
  func send(_ bytes: [UInt8]) { precondition(write(pair[1], bytes, bytes.count) == bytes.count) }
  func end() { close(pair[1]) }
}

private func levels(_ batch: FrameBatch?) -> [UInt8]? { batch?.images.map { $0.pixels[0] } }

@Suite struct RawFrameTests {
  private func reader(
    _ camera: Camera, batch: Int, maxWait: Duration? = nil, overload: FrameOverload = .wait
  ) throws -> RawFrameReader {
    try RawFrameReader(descriptor: camera.output, width: 4, height: 2, batchSize: batch, maxWait: maxWait, overload: overload)
  }

  @Test func fullBatchesAndAShortLastOne() throws {
    let camera = Camera()
    let reader = try reader(camera, batch: 3)
    camera.send(0..<7)
    camera.end()
    #expect(levels(reader.next()) == [0, 1, 2])
    let second = reader.next()
    #expect(levels(second) == [3, 4, 5] && second?.numbers == [3, 4, 5] && second?.failure == nil)
    let last = reader.next()
    #expect(levels(last) == [6] && last?.failure == nil && last?.dropped == 0)
    #expect(reader.next() == nil)
    #expect(reader.next() == nil)
  }

  /// A batch that is not full closes all the same; when it does is tested with a clock of its own.
  @Test func aBatchDoesNotWaitForEver() throws {
    let camera = Camera()
    let reader = try reader(camera, batch: 100, maxWait: .milliseconds(1))
    camera.send(0..<1)
    #expect(levels(reader.next()) == [0])
    camera.end()
    #expect(reader.next() == nil)
  }

  @Test func anIncompleteFrameIsReported() throws {
    let camera = Camera()
    let reader = try reader(camera, batch: 2)
    camera.send(0..<1)
    camera.send([1, 2, 3])
    camera.end()
    let batch = reader.next()
    #expect(levels(batch) == [0])
    #expect(batch?.failure?.message == "frame 1 is incomplete: expected 24 bytes (4×2 RGB24), got 3")
    #expect(batch?.failure?.hint == "check that the writer sends rgb24 at this size")
    #expect(reader.next() == nil)
  }

  @Test func anIncompleteFrameAloneIsReported() throws {
    let camera = Camera()
    let reader = try reader(camera, batch: 2)
    camera.send([1])
    camera.end()
    let batch = reader.next()
    #expect(levels(batch) == [] && batch?.failure?.code == .invalidData)
    #expect(reader.next() == nil)
  }

  @Test func waitingLosesNothing() throws {
    let camera = Camera()
    let reader = try reader(camera, batch: 2)
    let frames = 50
    camera.send(0..<frames)
    camera.end()
    Thread.sleep(forTimeInterval: 0.05)
    var seen = [UInt8]()
    while let batch = reader.next() { seen += batch.images.map { $0.pixels[0] } }
    #expect(seen == (0..<frames).map { UInt8($0) })
  }

  @Test func droppingKeepsTheNewest() throws {
    let camera = Camera()
    let reader = try reader(camera, batch: 2, overload: .dropOldest)
    camera.send(0..<50)
    camera.end()
    Thread.sleep(forTimeInterval: 0.1)
    let batch = reader.next()
    #expect(levels(batch) == [48, 49] && batch?.numbers == [48, 49] && batch?.dropped == 48)
    #expect(reader.next() == nil)
  }

  /// Once the reader is gone, what is written belongs to whoever reads next.
  @Test func aDroppedReaderLetsTheInputGo() throws {
    let camera = Camera()
    do { _ = try reader(camera, batch: 2) }
    camera.send(7..<8)
    Thread.sleep(forTimeInterval: 0.05)
    camera.end()
    let next = try reader(camera, batch: 2)
    #expect(levels(next.next()) == [7])
    #expect(next.next() == nil)
  }

  @Test func impossibleSizesAreRefused() {
    #expect(
      errorThrown { try RawFrameReader(descriptor: 0, width: 0, height: 480, batchSize: 1, maxWait: nil) }?.message
        == "frames of 0×480 pixels, expected 1...65536 each")
    #expect(
      errorThrown { try RawFrameReader(descriptor: 0, width: 640, height: 480, batchSize: 0, maxWait: nil) }?.message
        == "batch size 0, expected 1 or more")
  }
}
