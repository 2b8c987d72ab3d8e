// Items made ahead: their order, their errors, back-pressure and the end of threads.

import Engine
import Foundation
import Streams
import Testing
import Vision
import VisionTestSupport

@Suite struct PrefetcherTests {
  @Test func itemsComeInOrder() throws {
    for depth in 1...3 {
      let prefetcher = Prefetcher(5..<200, depth: depth) { number in number * number }
      for number in 5..<200 { #expect(try prefetcher.next() == number * number) }
      #expect(try prefetcher.next() == nil)
      #expect(try prefetcher.next() == nil)
    }
  }

  @Test func aStreamIsTheSameAhead() throws {
    let stream = try DomainStream(ShapesDataset(0..<50), domains: [Domain("impulse-noise", severity: 3), .clean], batchSize: 8)
    let ahead = stream.prefetched(from: 3)
    for index in 3..<stream.count {
      let batch = try #require(try ahead.next())
      #expect(batch.index == index)
      #expect(try batch.images == stream.batch(at: index).images)
    }
    #expect(try ahead.next() == nil)
  }

  @Test func errorsTakeTheirItemsPlace() throws {
    let prefetcher = Prefetcher(0..<10) { (number) throws(TTAError) in
      if number == 2 { throw TTAError(.invalidData, "no item 2") }
      return number
    }
    #expect(try prefetcher.next() == 0 && prefetcher.next() == 1)
    #expect(errorThrown { try prefetcher.next() }?.message == "no item 2")
    #expect(try prefetcher.next() == nil)
  }

  @Test func nothingIsMadeFarAhead() throws {
    let made = Counter()
    let prefetcher = Prefetcher(0..<1000, depth: 2) { _ in made.increment() }
    #expect(try prefetcher.next() == 1)
    Thread.sleep(forTimeInterval: 0.05)
    // One taken, two waiting, one held by the thread.
    #expect(made.value <= 4)
  }

  /// Several threads make parts of several items; what comes out does not depend on them.
  @Test(arguments: [1, 2, 5]) func threadsDoNotChangeItems(_ threads: Int) throws {
    for depth in 1...3 {
      let prefetcher = Prefetcher(0..<60, depth: depth, threads: threads) {
        $0 % 7
      } make: { number, part in
        if part == 3 { Thread.sleep(forTimeInterval: 0.0002) }
        return number * 10 + part
      } join: { number, parts in
        [number] + parts
      }
      for number in 0..<60 { #expect(try prefetcher.next() == [number] + (0..<max(number % 7, 1)).map { number * 10 + $0 }) }
      #expect(try prefetcher.next() == nil)
    }
  }

  /// Of several errors the first in order is the one that is thrown, after all items before it.
  @Test(arguments: [1, 4]) func theFirstErrorInOrderWins(_ threads: Int) throws {
    let prefetcher = Prefetcher(0..<10, depth: 3, threads: threads) { _ in
      4
    } make: { (number, part) throws(TTAError) in
      if number == 2, part == 1 { Thread.sleep(forTimeInterval: 0.01) }
      if number == 2, part > 0 || number > 2 { throw TTAError(.invalidData, "item \(number) part \(part)") }
      return part
    } join: { number, _ in
      number
    }
    #expect(try prefetcher.next() == 0 && prefetcher.next() == 1)
    #expect(errorThrown { try prefetcher.next() }?.message == "item 2 part 1")
    #expect(try prefetcher.next() == nil)
  }

  @Test func streamsAreTheSameOnSeveralThreads() throws {
    let shapes = ShapesDataset(0..<90)
    let plan = try StreamPlan(
      MixedDomains(), for: StreamContents(shapes, domains: [Domain("impulse-noise", severity: 3), Domain("contrast", severity: 1)]), seed: 4
    )
    let stream = try DomainStream(shapes, plan: plan, batchSize: 16)
    let ahead = stream.prefetched(threads: 3, depth: 2)
    for index in 0..<stream.count {
      let batch = try #require(try ahead.next())
      let alone = try stream.batch(at: index)
      #expect(batch.index == index && batch.images == alone.images && batch.places == alone.places && batch.domains == alone.domains)
    }
    #expect(try ahead.next() == nil)
  }

  /// Cancelled before, while and after items are taken, and at the end: no thread stays.
  @Test func noThreadIsLeft() throws {
    for taken in [0, 1, 7, 1_000] {
      let roll = ThreadRoll(expected: 4)
      do {
        let prefetcher = Prefetcher(0..<1_000, depth: 2, threads: 4) { _ in
          3
        } make: { number, part in
          roll.enter()
          return number + part
        } join: { number, _ in
          number
        }
        for _ in 0..<taken { #expect(try prefetcher.next() != nil) }
        #expect(roll.waits { roll.count == 4 }, "\(roll.count) threads before the end")
      }
      #expect(roll.waits { roll.alive == 0 }, "\(roll.alive) threads after \(taken) items")
    }
  }

  /// A consumer that waits is let go by the end of the items, not by chance.
  @Test func theEndWakesAConsumer() throws {
    let prefetcher = Prefetcher(0..<1, threads: 2) { _ in Thread.sleep(forTimeInterval: 0.01) }
    #expect(try prefetcher.next() != nil)
    #expect(try prefetcher.next() == nil)
  }

  @Test func aDroppedPrefetcherStops() throws {
    let made = Counter()
    do { _ = try Prefetcher(0..<1_000_000) { _ in made.increment() }.next() }
    Thread.sleep(forTimeInterval: 0.05)
    let value = made.value
    Thread.sleep(forTimeInterval: 0.05)
    #expect(made.value == value && value < 10)
  }
}

/// The threads that made something, and which of them still live.
private final class ThreadRoll: @unchecked Sendable {
  private struct Entry { weak var thread: Thread? }
  private let condition = NSCondition()
  private let expected: Int
  private var entries = [ObjectIdentifier: Entry]()
  init(expected: Int) { self.expected = expected }

  /// Enters the current thread, and holds it until all that are expected are there.
  func enter() {
    condition.lock()
    defer { condition.unlock() }
    if entries.count < expected { entries[ObjectIdentifier(Thread.current)] = Entry(thread: Thread.current) }
    condition.broadcast()
    while entries.count < expected { condition.wait() }
  }
  /// Threads that were seen.
  var count: Int {
    condition.lock()
    defer { condition.unlock() }
    return entries.count
  }
  /// Those of them that have not ended.
  var alive: Int {
    condition.lock()
    defer { condition.unlock() }
    return entries.values.count { $0.thread != nil }
  }
  /// Waits for what comes soon or never.
  func waits(until isTrue: () -> Bool) -> Bool {
    for _ in 0..<20_000 {
      if isTrue() { return true }
      Thread.sleep(forTimeInterval: 0.001)
    }
    return false
  }
}

/// A number that several threads raise.
private final class Counter: @unchecked Sendable {
  private let lock = NSLock()
  private var count = 0
  func increment() -> Int {
    lock.withLock {
      count += 1
      return count
    }
  }
  var value: Int { lock.withLock { count } }
}
