// The correlation of a picture with a disc.

extension DiscKernel {
  /// Correlates each channel of rows of R G B, the border reflected without repeating its edge; results are clipped and truncated.
  ///
  /// Rows above and below, and columns left and right, share a weight and are added first, in integers; the plateau of the disc is a
  /// difference of running sums. So a sample costs a few multiplications per kernel row instead of one per tap.
  func correlate(_ source: UnsafePointer<UInt8>, width: Int, height: Int, into target: UnsafeMutablePointer<UInt8>) {
    let padded = width + 2 * reach
    let columns = (0..<padded).map { reflected($0 - reach, width) * 3 }
    let spans = (0...reach).map { dy in weights[dy * (reach + 1)..<(dy + 1) * (reach + 1)].prefix { $0 == weights[0] }.count }
    let work = Workspace(padded: padded, width: width, rows: height)
    for channel in 0..<3 {
      work.load(source + channel, columns: columns, width: width, height: height)
      for y in 0..<height {
        work.startRow()
        for dy in 0...reach {
          work.addRows(reflected(y - dy, height), dy == 0 ? nil : reflected(y + dy, height))
          let span = spans[dy]
          if span > 0 { work.addPlateau(around: reach, span) }
          for dx in span..<reach + 1 {
            let weight = weights[dy * (reach + 1) + dx]
            if weight != 0 { work.addEdges(around: reach, dx, Double(weight)) }
          }
        }
        work.store(plateau: Double(weights[0]), to: target + y * width * 3 + channel)
      }
    }
  }

  /// Buffers of one picture; loops over plain memory only.
  private struct Workspace: ~Copyable {
    let padded: Int
    let width: Int
    /// One channel with its left and right border.
    let plane: UnsafeMutablePointer<Int32>
    /// The sum of two rows, its running sums, and the sum over the plateau.
    let pair: UnsafeMutablePointer<Int32>
    let running: UnsafeMutablePointer<Int32>
    let flat: UnsafeMutablePointer<Int32>
    /// The weighted sum of the edge.
    let edge: UnsafeMutablePointer<Double>

    init(padded: Int, width: Int, rows: Int) {
      self.padded = padded
      self.width = width
      plane = .allocate(capacity: padded * rows)
      pair = .allocate(capacity: padded)
      running = .allocate(capacity: padded + 1)
      flat = .allocate(capacity: width)
      edge = .allocate(capacity: width)
    }
    deinit {
      plane.deallocate()
      pair.deallocate()
      running.deallocate()
      flat.deallocate()
      edge.deallocate()
    }

    func load(_ source: UnsafePointer<UInt8>, columns: [Int], width: Int, height: Int) {
      for y in 0..<height {
        let (row, target) = (source + y * width * 3, plane + y * padded)
        for x in columns.indices { target[x] = Int32(row[columns[x]]) }
      }
    }
    func startRow() {
      flat.initialize(repeating: 0, count: width)
      edge.initialize(repeating: 0, count: width)
    }
    func addRows(_ first: Int, _ second: Int?) {
      let upper = plane + first * padded
      guard let second else { return pair.initialize(from: upper, count: padded) }
      let lower = plane + second * padded
      for x in 0..<padded { pair[x] = upper[x] &+ lower[x] }
    }
    /// Adds the columns at distances below `span`.
    func addPlateau(around reach: Int, _ span: Int) {
      var sum: Int32 = 0
      running[0] = 0
      for x in 0..<padded {
        sum &+= pair[x]
        running[x + 1] = sum
      }
      let (low, high) = (running + reach - span + 1, running + reach + span)
      for x in 0..<width { flat[x] &+= high[x] &- low[x] }
    }
    /// Adds the columns at distance `dx`.
    func addEdges(around reach: Int, _ dx: Int, _ weight: Double) {
      let (left, right) = (pair + reach - dx, pair + reach + dx)
      if dx == 0 {
        for x in 0..<width { edge[x] += weight * Double(left[x]) }
      } else {
        for x in 0..<width { edge[x] += weight * Double(left[x] &+ right[x]) }
      }
    }
    func store(plateau: Double, to target: UnsafeMutablePointer<UInt8>) {
      for x in 0..<width { target[x * 3] = sample((plateau * Double(flat[x]) + edge[x]) / 255) }
    }
  }
}
