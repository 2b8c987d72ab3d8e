// When batches of frames close, by a clock that the test moves.

import Engine
import Foundation
import Streams
import Testing
import Vision
import VisionTestSupport

/// A clock that stands still until somebody waits, or until it is moved.
private final class FakeClock: FrameClock, @unchecked Sendable {
  private let lock = NSLock()
  private var time = Duration.zero
  private var waits = [Duration]()
  var now: Duration { lock.withLock { time } }
  var allWaits: [Duration] { lock.withLock { waits } }
  func move(_ step: Duration) { lock.withLock { time += step } }
  /// The whole wait passes at once.
  func wait(for condition: NSCondition, atMost time: Duration) {
    lock.withLock {
      waits.append(time)
      self.time += time
    }
  }
}

@Suite struct FrameQueueTests {
  private func put(_ levels: Range<Int>, _ queue: FrameQueue) {
    for level in levels { #expect(queue.put(.success(Patterns.flat(level, width: 1, height: 1)), number: level)) }
  }

  @Test func aBatchClosesWhenItsFirstFrameIsOld() {
    let clock = FakeClock()
    let queue = FrameQueue(capacity: 10, dropsOldest: false, clock: clock)
    put(0..<1, queue)
    clock.move(.milliseconds(50))
    put(1..<2, queue)
    #expect(queue.take(4, maxWait: .milliseconds(200))?.numbers == [0, 1])
    // The first frame was 50 ms old: 150 were left.
    #expect(clock.allWaits == [.milliseconds(150)] && clock.now == .milliseconds(200))
  }

  @Test func anOldFrameDoesNotWaitAtAll() {
    let clock = FakeClock()
    let queue = FrameQueue(capacity: 10, dropsOldest: false, clock: clock)
    put(0..<3, queue)
    clock.move(.seconds(1))
    #expect(queue.take(4, maxWait: .milliseconds(200))?.numbers == [0, 1, 2])
    #expect(clock.allWaits.isEmpty)
  }

  @Test func aFullBatchDoesNotWait() {
    let clock = FakeClock()
    let queue = FrameQueue(capacity: 10, dropsOldest: false, clock: clock)
    put(0..<6, queue)
    #expect(queue.take(4, maxWait: .milliseconds(200))?.numbers == [0, 1, 2, 3])
    #expect(queue.take(4, maxWait: .milliseconds(200))?.numbers == [4, 5])
    #expect(clock.allWaits == [.milliseconds(200)])
  }

  @Test func theEndClosesABatch() {
    let clock = FakeClock()
    let queue = FrameQueue(capacity: 10, dropsOldest: false, clock: clock)
    put(0..<2, queue)
    queue.finish(TTAError(.invalidData, "cut off"))
    let batch = queue.take(4, maxWait: .milliseconds(200))
    #expect(batch?.numbers == [0, 1] && batch?.failure?.message == "cut off")
    #expect(queue.take(4, maxWait: nil) == nil && clock.allWaits.isEmpty)
  }

  @Test func damagedFramesKeepTheirNumbers() {
    let queue = FrameQueue(capacity: 10, dropsOldest: false, clock: FakeClock())
    put(0..<1, queue)
    #expect(queue.put(.failure(TTAError(.invalidData, "bad")), number: 1))
    put(2..<3, queue)
    let batch = queue.take(3, maxWait: nil)
    #expect(batch?.numbers == [0, 2] && batch?.damaged.map(\.place) == [1] && batch?.damaged.first?.error.message == "bad")
  }
}
