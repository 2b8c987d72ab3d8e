// Where buffers lie in the arena.

/// Index of a buffer of a plan.
struct BufferID: Hashable, Sendable {
  let index: Int
  /// The batch of images itself, outside the arena.
  static let images = BufferID(index: -1)
}

/// A block of memory with a lifetime in steps. Sizes are bytes; the part per image grows with the batch.
struct PlannedBuffer: Sendable {
  var bytesPerImage: Int
  var fixedBytes: Int
  /// Images that it has room for where fewer than all are in it at a time.
  var mostImages: Int?
  /// First and last step that touch it.
  var first = Int.max, last = -1

  static let alignment = 64
  func bytes(images: Int) -> Int {
    (bytesPerImage * min(images, mostImages ?? images) + fixedBytes + Self.alignment - 1) / Self.alignment * Self.alignment
  }
}

/// Places buffers whose lifetimes do not overlap on the same bytes.
///
/// Large buffers first, each at the lowest offset that is free during its life. (Pisarchyk and Lee, "Efficient Memory Management for Deep
/// Neural Net Inference", 2020, greedy by size.)
enum MemoryPlanner {
  static func place(_ buffers: [PlannedBuffer], images: Int) -> (offsets: [Int], total: Int) {
    var offsets = [Int](repeating: 0, count: buffers.count)
    var placed: [(range: Range<Int>, first: Int, last: Int)] = []
    var total = 0
    let order = buffers.indices.filter { buffers[$0].last >= 0 }
      .sorted { (buffers[$1].bytes(images: images), $0) < (buffers[$0].bytes(images: images), $1) }
    for index in order {
      let buffer = buffers[index]
      let size = max(buffer.bytes(images: images), PlannedBuffer.alignment)
      var offset = 0
      let neighbours = placed.filter { $0.first <= buffer.last && buffer.first <= $0.last }
        .sorted { $0.range.lowerBound < $1.range.lowerBound }
      for neighbour in neighbours {
        if offset + size <= neighbour.range.lowerBound { break }
        offset = max(offset, neighbour.range.upperBound)
      }
      offsets[index] = offset
      placed.append((offset..<offset + size, buffer.first, buffer.last))
      total = max(total, offset + size)
    }
    return (offsets, total)
  }
}
