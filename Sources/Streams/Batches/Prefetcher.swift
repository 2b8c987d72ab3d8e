// Making the next item while the current one is used.

public import Engine
import Foundation

/// Items made ahead on one background thread and handed out in order; an error takes the place of its item and ends the sequence.
///
/// At most `depth` finished items wait. When the prefetcher is dropped, the thread ends after the item that it is making.
public final class Prefetcher<Element: Sendable>: Sendable {
  private let queue: BoundedQueue<Result<Element, TTAError>>

  /// Makes the items of the given numbers, one after the other.
  public init(_ numbers: Range<Int>, depth: Int = 1, make: @escaping @Sendable (Int) throws(TTAError) -> Element) {
    precondition(depth > 0, "depth \(depth)")
    let queue = BoundedQueue<Result<Element, TTAError>>(capacity: depth)
    self.queue = queue
    Thread {
      for number in numbers {
        let result = Result { () throws(TTAError) in try make(number) }
        guard queue.put(result) else { return }
        if case .failure = result { break }
      }
      queue.finish()
    }.start()
  }

  deinit { queue.cancel() }

  /// The next item; waits until it is made. `nil` after the last one, and after an error.
  public func next() throws(TTAError) -> Element? { try queue.take()?.get() }
}

/// A queue between two threads: putting waits while it is full, taking waits while it is empty.
final class BoundedQueue<Element: Sendable>: @unchecked Sendable {
  // Everything below is touched only while the condition's lock is held.
  private let condition = NSCondition()
  private let capacity: Int
  private var waiting: [Element] = []
  private var isFinished = false
  private var isCancelled = false

  init(capacity: Int) { self.capacity = capacity }

  /// Appends an element; false when nobody will take it.
  func put(_ element: Element) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    while waiting.count >= capacity, !isCancelled { condition.wait() }
    guard !isCancelled else { return false }
    waiting.append(element)
    condition.broadcast()
    return true
  }
  /// The oldest element; `nil` when the queue is empty and finished.
  func take() -> Element? {
    condition.lock()
    defer { condition.unlock() }
    while waiting.isEmpty, !isFinished { condition.wait() }
    guard !waiting.isEmpty else { return nil }
    condition.broadcast()
    return waiting.removeFirst()
  }
  /// No more elements will come.
  func finish() {
    condition.lock()
    isFinished = true
    condition.broadcast()
    condition.unlock()
  }
  /// No more elements will be taken.
  func cancel() {
    condition.lock()
    isCancelled = true
    isFinished = true
    waiting = []
    condition.broadcast()
    condition.unlock()
  }
}
