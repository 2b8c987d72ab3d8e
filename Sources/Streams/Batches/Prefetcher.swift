// Making the next items while the current one is used.

public import Engine
import Foundation

/// Items made ahead on background threads and handed out in order; an error takes the place of its item and ends the sequence.
///
/// An item is made of parts, which any thread may make; the order of the items and of their parts does not depend on the threads. At most
/// `depth` finished items wait. When the prefetcher is dropped, the threads end after the parts that they are making.
public final class Prefetcher<Element: Sendable>: Sendable {
  private let takeNext: @Sendable () throws(TTAError) -> Element?
  private let cancel: @Sendable () -> Void

  /// Makes the items of the given numbers from their parts: `parts` says how many an item has, `make` makes one, `join` the item.
  public init<Part: Sendable>(
    _ numbers: Range<Int>, depth: Int = 1, threads: Int = 1, parts: @escaping @Sendable (Int) -> Int,
    make: @escaping @Sendable (_ number: Int, _ part: Int) throws(TTAError) -> Part,
    join: @escaping @Sendable (_ number: Int, [Part]) throws(TTAError) -> Element
  ) {
    precondition(depth > 0 && threads > 0, "depth \(depth), \(threads) threads")
    let ring = PrefetchRing(numbers, depth: depth, partCount: parts, make: make, join: join)
    takeNext = { () throws(TTAError) in try ring.take() }
    cancel = { ring.cancel() }
    for _ in 0..<threads {
      Thread { ring.work() }.start()
    }
  }

  /// Makes the items of the given numbers, each in one part.
  public convenience init(
    _ numbers: Range<Int>, depth: Int = 1, threads: Int = 1, make: @escaping @Sendable (Int) throws(TTAError) -> Element
  ) {
    self.init(numbers, depth: depth, threads: threads) { _ in
      1
    } make: { (number, _) throws(TTAError) in
      try make(number)
    } join: { _, parts in
      parts[0]
    }
  }

  deinit { cancel() }

  /// The next item; waits until it is made. `nil` after the last one, and after an error.
  public func next() throws(TTAError) -> Element? { try takeNext() }
}

/// The items between the threads that make them and the one that uses them.
private final class PrefetchRing<Part: Sendable, Element: Sendable>: @unchecked Sendable {
  /// An item whose parts are being made.
  private struct Slot {
    let number: Int
    var parts: [Result<Part, TTAError>?]
    var begun = 0
    var missing: Int
    var element: Result<Element, TTAError>?
  }
  private let depth: Int
  private let end: Int
  private let partCount: @Sendable (Int) -> Int
  private let make: @Sendable (Int, Int) throws(TTAError) -> Part
  private let join: @Sendable (Int, [Part]) throws(TTAError) -> Element
  // Everything below is touched only while the condition's lock is held.
  private let condition = NSCondition()
  private var slots: [Slot] = []
  private var nextNumber: Int
  private var isOver = false

  init(
    _ numbers: Range<Int>, depth: Int, partCount: @escaping @Sendable (Int) -> Int,
    make: @escaping @Sendable (Int, Int) throws(TTAError) -> Part,
    join: @escaping @Sendable (Int, [Part]) throws(TTAError) -> Element
  ) {
    self.depth = depth
    end = numbers.upperBound
    nextNumber = numbers.lowerBound
    self.partCount = partCount
    self.make = make
    self.join = join
  }

  /// The next item in order; `nil` after the last.
  func take() throws(TTAError) -> Element? {
    condition.lock()
    defer { condition.unlock() }
    while !isOver, slots.first.map({ $0.element == nil }) ?? (nextNumber < end) { condition.wait() }
    guard !isOver, !slots.isEmpty, let element = slots.removeFirst().element else { return nil }
    if case .failure = element { isOver = true }
    condition.broadcast()
    return try element.get()
  }

  /// No more items will be taken.
  func cancel() {
    condition.lock()
    isOver = true
    slots = []
    condition.broadcast()
    condition.unlock()
  }

  /// Makes parts until there are none left.
  func work() {
    condition.lock()
    defer { condition.unlock() }
    while let (number, part) = claim() {
      condition.unlock()
      let result = Result { () throws(TTAError) in try make(number, part) }
      condition.lock()
      finish(number, part, result)
    }
  }

  /// The next part to be made; waits while all parts of the open items are taken and no further item may be opened.
  private func claim() -> (number: Int, part: Int)? {
    while !isOver {
      if let open = slots.firstIndex(where: { $0.element == nil && $0.begun < $0.parts.count }) {
        slots[open].begun += 1
        return (slots[open].number, slots[open].begun - 1)
      }
      if nextNumber >= end { return nil }
      if slots.count <= depth {
        let count = max(partCount(nextNumber), 1)
        slots.append(Slot(number: nextNumber, parts: Array(repeating: nil, count: count), missing: count))
        nextNumber += 1
        continue
      }
      condition.wait()
    }
    return nil
  }

  /// Keeps a part, and joins the item when it is the last one.
  private func finish(_ number: Int, _ part: Int, _ result: Result<Part, TTAError>) {
    guard let place = slots.firstIndex(where: { $0.number == number }), slots[place].element == nil else { return }
    slots[place].parts[part] = result
    slots[place].missing -= 1
    guard slots[place].missing == 0 else { return }
    let parts = slots[place].parts.compactMap { $0 }
    condition.unlock()
    let element = Result { () throws(TTAError) in
      var made = [Part]()
      for part in parts { made.append(try part.get()) }
      return try join(number, made)
    }
    condition.lock()
    close(number, element)
  }
  private func close(_ number: Int, _ element: Result<Element, TTAError>) {
    guard let place = slots.firstIndex(where: { $0.number == number }) else { return }
    slots[place].element = element
    // What comes after an error is never asked for.
    if case .failure = element {
      nextNumber = end
      slots.removeLast(slots.count - place - 1)
    }
    condition.broadcast()
  }
}
