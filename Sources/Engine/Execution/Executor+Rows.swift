// Work of strategies on rows that no plan does: products, loops over images.

internal import CKernels

extension Executor {
  /// Runs `body` for 0 ..< count on all workers and waits; each number is handled once, in any order.
  public func concurrently(_ count: Int, _ body: (Int) -> Void) { pool.run(units: count) { unit, _ in body(unit) } }

  /// The product of the rows of `left` with the rows of `right` (left · rightᵀ): `[left.count, right.count]`.
  public func products(ofRows left: Tensor, withRows right: Tensor) -> Tensor {
    precondition(left.rowElementCount == right.rowElementCount, "products of rows of \(left.shape) with rows of \(right.shape)")
    return product(left, right, CK_TRANSPOSED, columns: right.count)
  }
  /// The matrix product of `left` `[n, m]` with `right` `[m, k]`.
  public func product(_ left: Tensor, _ right: Tensor) -> Tensor {
    precondition(left.rowElementCount == right.count, "the product of \(left.shape) with \(right.shape)")
    return product(left, right, CK_NORMAL, columns: right.rowElementCount)
  }
  private func product(_ left: Tensor, _ right: Tensor, _ orientation: ck_orientation, columns: Int) -> Tensor {
    var result = Tensor(uninitialized: [left.count, columns])
    let inner = left.rowElementCount
    ck_pool_reserve(pool.handle, ck_gemm_scratch_bytes(left.count, columns, inner))
    result.withMutablePointer { target in
      left.withPointer { a in
        right.withPointer { b in
          ck_gemm(
            pool.handle, CK_NORMAL, orientation, left.count, columns, inner, a, inner, b, right.rowElementCount, target, columns, nil, false
          )
        }
      }
    }
    return result
  }
  /// Runs `body` for rows 0 ..< count on all workers and waits; a row must not depend on which worker has it.
  package func forEachRow(_ count: Int, _ body: (_ row: Int) -> Void) {
    let size = 8
    pool.run(units: (count + size - 1) / size) { block, _ in for row in block * size..<min(count, (block + 1) * size) { body(row) } }
  }
}
