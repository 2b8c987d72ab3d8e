// Frames between the thread that reads them and the one that answers them.

package import Engine
package import Foundation
package import Vision

/// The time by which frames grow old.
package protocol FrameClock: Sendable {
  /// Time since some fixed moment.
  var now: Duration { get }
  /// Waits for a condition's signal, for at most some time; the condition's lock is held before and after.
  func wait(for condition: NSCondition, atMost time: Duration)
}

/// The machine's clock, which never runs backwards.
package struct MonotonicClock: FrameClock {
  private static let start = ContinuousClock.now
  package init() {}
  package var now: Duration { Self.start.duration(to: .now) }
  package func wait(for condition: NSCondition, atMost time: Duration) {
    _ = condition.wait(until: Date(timeIntervalSinceNow: time / .seconds(1)))
  }
}

/// Frames that wait, with the time of their arrival.
package final class FrameQueue: @unchecked Sendable {
  private struct Frame {
    let image: Result<Image, TTAError>
    let number: Int
    let arrival: Duration
  }
  // Everything below is touched only while the condition's lock is held.
  private let condition = NSCondition()
  private let capacity: Int
  private let dropsOldest: Bool
  private let clock: any FrameClock
  private var waiting: [Frame] = []
  private var dropped = 0
  private var isFinished = false
  private var failure: TTAError?

  package init(capacity: Int, dropsOldest: Bool, clock: any FrameClock = MonotonicClock()) {
    self.capacity = capacity
    self.dropsOldest = dropsOldest
    self.clock = clock
  }

  /// Appends a frame, waiting or dropping while there is no room; false when nobody will take it.
  package func put(_ image: Result<Image, TTAError>, number: Int) -> Bool {
    let arrival = clock.now
    condition.lock()
    defer { condition.unlock() }
    while waiting.count >= capacity, !isFinished {
      if dropsOldest {
        waiting.removeFirst()
        dropped += 1
      } else {
        condition.wait()
      }
    }
    guard !isFinished else { return false }
    waiting.append(Frame(image: image, number: number, arrival: arrival))
    condition.broadcast()
    return true
  }

  /// No more frames will come, for a reason if it is not the proper end.
  package func finish(_ failure: TTAError?) {
    condition.lock()
    isFinished = true
    self.failure = failure
    condition.broadcast()
    condition.unlock()
  }
  /// No more frames will be taken.
  package func cancel() { finish(nil) }

  /// The next frames: `count` of them, or fewer once the first is `maxWait` old or the stream has ended; `nil` after the end.
  package func take(_ count: Int, maxWait: Duration?) -> FrameBatch? {
    condition.lock()
    defer { condition.unlock() }
    while waiting.count < count, !isFinished {
      guard let first = waiting.first, let maxWait else {
        condition.wait()
        continue
      }
      let left = maxWait - (clock.now - first.arrival)
      guard left > .zero else { break }
      clock.wait(for: condition, atMost: left)
    }
    let taken = waiting.prefix(count)
    waiting.removeFirst(taken.count)
    condition.broadcast()
    let isLast = waiting.isEmpty && isFinished
    defer { if isLast { failure = nil } }
    if taken.isEmpty, failure == nil { return nil }
    var batch = FrameBatch(images: [], numbers: [], dropped: dropped, failure: isLast ? failure : nil)
    for frame in taken {
      do throws(TTAError) {
        batch.images.append(try frame.image.get())
        batch.numbers.append(frame.number)
      } catch {
        batch.damaged.append(ImageFailure(place: frame.number, name: "picture \(frame.number)", error: error))
      }
    }
    return batch
  }
}
