// Frames between the thread that reads them and the one that answers them.

import Engine
import Foundation
import Vision

/// Frames that wait, with the time of their arrival.
final class FrameQueue: @unchecked Sendable {
  private struct Frame {
    let image: Image
    let number: Int
    let arrival: ContinuousClock.Instant
  }
  // Everything below is touched only while the condition's lock is held.
  private let condition = NSCondition()
  private let capacity: Int
  private let dropsOldest: Bool
  private var waiting: [Frame] = []
  private var dropped = 0
  private var isFinished = false
  private var failure: TTAError?

  init(capacity: Int, dropsOldest: Bool) {
    self.capacity = capacity
    self.dropsOldest = dropsOldest
  }

  /// Appends a frame, waiting or dropping while there is no room; false when nobody will take it.
  func put(_ image: Image, number: Int) -> Bool {
    let arrival = ContinuousClock.now
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
  func finish(_ failure: TTAError?) {
    condition.lock()
    isFinished = true
    self.failure = failure
    condition.broadcast()
    condition.unlock()
  }
  /// No more frames will be taken.
  func cancel() { finish(nil) }

  /// The next frames: `count` of them, or fewer once the first is `maxWait` old or the stream has ended; `nil` after the end.
  func take(_ count: Int, maxWait: Duration?) -> FrameBatch? {
    condition.lock()
    defer { condition.unlock() }
    while waiting.count < count, !isFinished {
      guard let first = waiting.first, let maxWait else {
        condition.wait()
        continue
      }
      let left = maxWait - first.arrival.duration(to: .now)
      guard left > .zero else { break }
      _ = condition.wait(until: Date(timeIntervalSinceNow: left / .seconds(1)))
    }
    let taken = waiting.prefix(count)
    waiting.removeFirst(taken.count)
    condition.broadcast()
    let isLast = waiting.isEmpty && isFinished
    defer { if isLast { failure = nil } }
    if taken.isEmpty, failure == nil { return nil }
    return FrameBatch(images: taken.map(\.image), numbers: taken.map(\.number), dropped: dropped, failure: isLast ? failure : nil)
  }
}
