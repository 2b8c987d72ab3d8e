// The worker pool: each unit exactly once, under load, after idling, with more workers than cores; scratch; measuring.
import CKernels
import Synchronization
import Testing

/// Counts how often each unit ran.
private final class Counter: Sendable {
  let counts: [Atomic<Int>.Box]
  init(_ units: Int) { counts = (0..<units).map { _ in Atomic<Int>.Box() } }
  func all(_ expected: Int) -> Bool { counts.allSatisfy { $0.value == expected } }
}

extension Atomic where Value == Int {
  /// An atomic that an array can hold.
  fileprivate final class Box: Sendable {
    private let atomic = Atomic<Int>(0)
    var value: Int { atomic.load(ordering: .acquiring) }
    func increment() { _ = atomic.add(1, ordering: .acquiringAndReleasing) }
  }
}

private func run(_ pool: OpaquePointer?, _ units: Int, _ counter: Counter) {
  ck_pool_run(
    pool, Int32(units),
    { context, unit, _ in
      guard let context else { return }
      Unmanaged<Counter>.fromOpaque(context).takeUnretainedValue().counts[Int(unit)].increment()
    },
    Unmanaged.passUnretained(counter).toOpaque())
}

extension KernelTests {
  @Suite struct WorkerPools {
    @Test(arguments: [1, 2, 3, 8]) func runsEachUnitOnce(_ threads: Int) {
      let pool = ck_pool_create(Int32(threads))
      defer { ck_pool_destroy(pool) }
      #expect(ck_pool_threads(pool) == Int32(threads))
      for units in [0, 1, 2, 7, 100] {
        let counter = Counter(units)
        for round in 1...300 {
          run(pool, units, counter)
          guard counter.all(round) else {
            Issue.record("\(threads) workers, \(units) units, round \(round)")
            return
          }
        }
      }
    }

    @Test func wakesAfterIdling() {
      let pool = ck_pool_create(4), counter = Counter(16)
      defer { ck_pool_destroy(pool) }
      for round in 1...20 {
        // Longer than the workers spin: they sleep by then.
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .milliseconds(round % 2 == 0 ? 5 : 0) {}
        run(pool, 16, counter)
        #expect(counter.all(round))
      }
    }

    @Test func comesAndGoes() {
      for threads in 1...50 {
        let pool = ck_pool_create(Int32(threads % 5 + 1)), counter = Counter(3)
        if threads % 2 == 0 { run(pool, 3, counter) }
        ck_pool_destroy(pool)
      }
    }

    @Test func keepsScratchPerWorker() {
      let pool = ck_pool_create(3)
      defer { ck_pool_destroy(pool) }
      #expect(ck_pool_reserve(pool, 1000))
      let addresses = (0..<3).map { Int(bitPattern: ck_pool_scratch(pool, Int32($0))) }
      #expect(Set(addresses).count == 3)
      #expect(addresses.allSatisfy { $0 != 0 && $0 % 64 == 0 })
      #expect(ck_pool_reserve(pool, 500))
      #expect((0..<3).map { Int(bitPattern: ck_pool_scratch(pool, Int32($0))) } == addresses)
    }

    @Test func selectsInstructionSets() {
      #expect(ck_isa_request_valid())
      withEachInstructionSet { name in #expect(String(cString: ck_isa_name(ck_current_isa())) == name) }
    }

    @Test func measures() {
      let pool = ck_pool_create(1)
      defer { ck_pool_destroy(pool) }
      withEachInstructionSet { _ in
        #expect(ck_measure_peak_gflops(pool) > 0)
        #expect(ck_measure_bandwidth(pool, 1 << 20) > 0)
      }
    }
  }
}
