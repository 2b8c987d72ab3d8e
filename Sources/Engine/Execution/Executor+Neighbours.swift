// Rows that are near each other, and predictions that neighbours agree on: what LAME does with a batch.

internal import CKernels

/// Which rows pull at each row, with which weights.
package struct NeighbourWeights: Sendable {
  /// Row r has the neighbours starts[r] ..< starts[r + 1].
  package let starts: [Int32], indices: [Int32]
  /// Empty: 1 everywhere.
  package let weights: [Float]

  /// The same number of neighbours for each row, of weight 1.
  package init(indices: [Int32], perRow: Int, rows: Int) {
    (starts, self.indices, weights) = ((0...rows).map { Int32($0 * perRow) }, indices, [])
  }
  package init(_ rows: [[(index: Int, weight: Float)]]) {
    var starts: [Int32] = [0]
    for row in rows { starts.append(starts[starts.count - 1] + Int32(row.count)) }
    self.starts = starts
    indices = rows.flatMap { $0.map { Int32($0.index) } }
    weights = rows.flatMap { $0.map(\.weight) }
  }
}

extension Executor {
  /// Blocks of rows on all workers, or on the calling thread where a fork would take longer; `cost` is roughly the nanoseconds of one row.
  private func forEachBlock(of count: Int, cost: Int, _ body: (Range<Int>) -> Void) {
    guard threads > 1, count * cost > 20_000 else { return body(0..<count) }
    let size = max(1, min(64, 4_000 / max(1, cost)))
    pool.run(units: (count + size - 1) / size) { block, _ in body(block * size..<min(count, (block + 1) * size)) }
  }

  /// Rows divided by their lengths.
  package func unitRows(_ rows: Tensor) -> Tensor {
    let (count, width) = (rows.count, rows.rowElementCount)
    var result = Tensor(uninitialized: [count, width])
    result.withMutablePointer { target in
      rows.withPointer { values in
        forEachBlock(of: count, cost: width / 2) {
          ck_unit_rows(values + $0.lowerBound * width, target + $0.lowerBound * width, $0.count, width)
        }
      }
    }
    return result
  }

  /// The `wanted` nearest others of each row of unit length, all of them after each other: nearest first where that is asked for, else in
  /// ascending order.
  ///
  /// Products rank the candidates. Exact distances decide between the best of them, unless the products are so far apart that rounding cannot
  /// have changed which rows are the nearest.
  package func nearest(ofUnitRows rows: Tensor, _ wanted: Int, ordered: Bool) -> [Int32] {
    let (count, width) = (rows.count, rows.rowElementCount), capacity = min(count - 1, wanted + 8)
    guard wanted > 0, capacity >= wanted else { return [] }
    // An upper bound of the rounding errors of two products of unit rows and of the lengths of the rows.
    let rounding = Float(2 * width + 32) * 0x1p-24
    return [Int32](unsafeUninitializedCapacity: count * wanted) { result, initialized in
      nonisolated(unsafe) let target = result
      withUnsafeTemporaryAllocation(of: Float.self, capacity: count * capacity) { values in
        withUnsafeTemporaryAllocation(of: Int32.self, capacity: count * (capacity + 1)) { numbers in
          guard let counts = numbers.baseAddress else { return }
          counts.initialize(repeating: 0, count: count)
          let rankings = ck_rankings(capacity: capacity, values: values.baseAddress, indices: counts + count, counts: counts)
          rows.withPointer { rows in
            rank(rows, count, width, rankings)
            forEachBlock(of: count, cost: 20 * capacity) { block in
              for row in block {
                let found = UnsafeBufferPointer(start: rankings.indices + row * capacity, count: capacity)
                let products = rankings.values + row * capacity
                let isCertain = capacity == wanted || products[wanted - 1] - products[wanted] > rounding
                var best = UnsafeMutableBufferPointer(rebasing: target[row * wanted..<(row + 1) * wanted])
                if ordered || !isCertain {
                  _ = best.update(from: Self.nearestFirst(row, found, rows, width).prefix(wanted))
                } else {
                  _ = best.update(from: found.prefix(wanted))
                }
                if !ordered { best.sort() }
              }
            }
          }
        }
      }
      initialized = count * wanted
    }
  }
  private static func nearestFirst(_ row: Int, _ others: UnsafeBufferPointer<Int32>, _ rows: UnsafePointer<Float>, _ width: Int) -> [Int32]
  {
    others.map { (distance: ck_squared_distance(rows + row * width, rows + Int($0) * width, width), index: $0) }
      .sorted { $0.distance != $1.distance ? $0.distance < $1.distance : $0.index < $1.index }.map(\.index)
  }
  /// The largest products of each row with the others. Those of a strip of rows with itself and with the rows behind it serve both sides.
  private func rank(_ rows: UnsafePointer<Float>, _ count: Int, _ width: Int, _ rankings: ck_rankings) {
    // Short strips compute little twice. Their first rows are multiples of 16, where a panel of the packed rows begins.
    let strip = min(512, max(64, (count + 63) / 64 * 16)), isSmall = threads == 1 || 2 * count * count * width < 8_000_000
    let workers = isSmall ? nil : pool.handle
    var products = Tensor(uninitialized: [min(strip, count), count]), packed = Tensor(uninitialized: [ck_gemm_packed_count(count, width)])
    packed.withMutablePointer { ck_gemm_pack_b(workers, CK_TRANSPOSED, count, width, rows, width, $0) }
    products.withMutablePointer { products in
      withUnsafePointer(to: rankings) { rankings in
        for first in Swift.stride(from: 0, to: count, by: strip) {
          let (height, columns) = (min(strip, count - first), count - first), from = rows + first * width
          packed.withPointer {
            ck_gemm_packed(workers, CK_NORMAL, height, count, width, from, width, $0, first, products, columns, nil, false)
          }
          // Blocks of eight rows of the strip, then of 64 rows behind it.
          let rowBlocks = (height + 7) / 8, columnBlocks = (columns - height + 63) / 64
          let body = { (block: Int) in
            if block < rowBlocks {
              for row in block * 8..<min(height, block * 8 + 8) {
                ck_rank_row(rankings, first + row, products + row * columns, first, columns)
              }
            } else {
              let column = height + (block - rowBlocks) * 64
              ck_rank_columns(rankings, first + column, min(64, columns - column), products + column, columns, first, height)
            }
          }
          if isSmall { (0..<rowBlocks + columnBlocks).forEach(body) } else { concurrently(rowBlocks + columnBlocks, body) }
        }
      }
    }
  }
}

/// Predictions that neighbours pull at, step by step: rows ← softmax(ln(start + 1e-10) + W rows).
package struct NeighbourIteration {
  /// W: a few neighbours of each row, or a full matrix.
  package enum Weights: Sendable {
    case sparse(NeighbourWeights)
    case full(Tensor)
  }
  private let weights: Weights, width: Int, stride: Int
  // Rows of whole vectors; two sets of predictions take turns.
  private var logarithms: Tensor, current: Tensor, next: Tensor

  /// Begins with softmax(ln(start + 1e-10)).
  package init(_ start: Tensor, _ weights: Weights, on executor: Executor) {
    let (count, width) = (start.count, start.rowElementCount)
    (self.weights, self.width, stride) = (weights, width, ck_neighbour_stride(width))
    logarithms = Tensor(uninitialized: [count, stride])
    current = Tensor(uninitialized: [count, stride])
    next = Tensor(uninitialized: [count, stride])
    let stride = stride
    logarithms.withMutablePointer { logarithms in
      start.withPointer { start in
        executor.forEachNeighbourBlock(of: count, stride) {
          ck_log_rows(start + $0.lowerBound * width, logarithms + $0.lowerBound * stride, $0.count, width)
        }
      }
    }
    _ = advance(nil, pull: nil, on: executor)
  }

  /// One step, and its energy: Σ z (unary − pairwise + ln z) of the new rows z, which is −Σ ln Σ exp(pairwise − unary).
  package mutating func step(on executor: Executor) -> Double {
    switch weights {
    case .full(let matrix): return advance(nil, pull: executor.product(matrix, current), on: executor)
    case .sparse(let neighbours):
      return neighbours.starts.withUnsafeBufferPointer { starts in
        neighbours.indices.withUnsafeBufferPointer { indices in
          neighbours.weights.withUnsafeBufferPointer { weights in
            var described = ck_neighbours(
              start: starts.baseAddress, index: indices.baseAddress, weight: weights.isEmpty ? nil : weights.baseAddress)
            return advance(&described, pull: nil, on: executor)
          }
        }
      }
    }
  }

  private mutating func advance(_ neighbours: UnsafePointer<ck_neighbours>?, pull: Tensor?, on executor: Executor) -> Double {
    let (count, width, stride) = (current.count, width, stride), (logarithms, before) = (logarithms, current)
    let energy = next.withMutablePointer { after in
      logarithms.withPointer { logarithms in
        before.withPointer { before in
          withUnsafeTemporaryAllocation(of: Double.self, capacity: count) { energies in
            let run = { (pull: UnsafePointer<Float>?) in
              executor.forEachNeighbourBlock(of: count, stride) {
                ck_neighbour_softmax(neighbours, logarithms, pull, before, after, energies.baseAddress, $0.lowerBound, $0.count, width)
              }
            }
            if let pull { pull.withPointer(run) } else { run(nil) }
            return energies.reduce(0, +)
          }
        }
      }
    }
    swap(&current, &next)
    return energy
  }

  /// The rows as they are.
  package var rows: Tensor {
    guard stride != width else { return current }
    let count = current.count
    var result = Tensor(uninitialized: [count, width])
    result.withMutablePointer { target in
      current.withPointer { values in
        for row in 0..<count { (target + row * width).update(from: values + row * stride, count: width) }
      }
    }
    return result
  }
}

extension Executor {
  fileprivate func forEachNeighbourBlock(of count: Int, _ stride: Int, _ body: (Range<Int>) -> Void) {
    forEachBlock(of: count, cost: 30 + stride / 2, body)
  }
}
