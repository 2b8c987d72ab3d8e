// The worker threads of an executor.

internal import CKernels

/// A fixed pool of C threads; the calling thread is one of them. One fork and join per call, units handed out dynamically.
final class WorkerPool {
  let handle: OpaquePointer
  let threads: Int

  init(threads: Int) {
    guard let handle = ck_pool_create(Int32(threads)) else { fatalError("cannot start \(threads) worker threads") }
    self.handle = handle
    self.threads = threads
  }
  deinit { ck_pool_destroy(handle) }

  /// Makes sure that each worker has scratch of this size.
  func reserve(scratchBytes: Int) throws(TTAError) {
    guard scratchBytes == 0 || ck_pool_reserve(handle, scratchBytes) else {
      throw TTAError(.internal, "out of memory: \(scratchBytes) bytes of scratch for each of \(threads) threads")
    }
  }

  private struct Job { var body: (Int, UnsafeMutableRawPointer?) -> Void, pool: OpaquePointer }

  /// Runs `body` once for each unit, on all workers, and waits. `body` gets the unit and the worker's scratch.
  func run(units: Int, _ body: (_ unit: Int, _ scratch: UnsafeMutableRawPointer?) -> Void) {
    guard units > 0 else { return }
    withoutActuallyEscaping(body) { escaping in
      var job = Job(body: escaping, pool: handle)
      withUnsafeMutablePointer(to: &job) { pointer in
        ck_pool_run(
          handle, Int32(units),
          { context, unit, worker in
            guard let job = context?.assumingMemoryBound(to: Job.self) else { return }
            job.pointee.body(Int(unit), ck_pool_scratch(job.pointee.pool, worker))
          }, pointer)
      }
    }
  }

  /// Runs `body` over ranges of 0 ..< count on all workers and waits, for elementwise work.
  func forEachRange(of count: Int, _ body: (_ range: Range<Int>) -> Void) {
    let length = 16_384
    run(units: (count + length - 1) / length) { unit, _ in body(unit * length..<min(count, (unit + 1) * length)) }
  }
}
