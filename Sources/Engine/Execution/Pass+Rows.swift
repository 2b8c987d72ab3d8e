// Images that nothing is learnt from leave a pass before its backward.

extension Pass {
  /// The images that the backward has to see, in the order it takes them, where that is not all of them as they lie: those with a gradient other than zero. Where
  /// all are zero one stays. Those at the end take the places of those that left, so that as little as possible moves.
  ///
  /// Nil where layers mix images, or where gradients of images were asked for.
  func rowsWithGradient(_ gradient: OutputGradient) -> [Int]? {
    guard images.count > 1, plan.imageGradient == nil, program.graph.treatsImagesAlone(options.statistics) else { return nil }
    let isWanted = (0..<images.count).map { image in gradient.taps.values.contains { !$0.isZero(part: image, of: images.count) } }
    let count = max(1, isWanted.count { $0 })
    guard count < images.count else { return nil }
    var last = (count..<images.count).filter { isWanted[$0] }
    return (0..<count).map { isWanted[$0] || last.isEmpty ? $0 : last.removeLast() }
  }
  /// Moves what the forward kept of these images to the places of the first ones.
  func gather(_ rows: [Int], on pool: WorkerPool) {
    let moves = rows.indices.filter { rows[$0] != $0 }
    let (buffers, places, base) = (plan.kept, plan.places, region.memory.base)
    pool.run(units: buffers.count) { unit, _ in
      let (start, size) = (base + places.offsets[buffers[unit].index], places.strides[buffers[unit].index])
      for slot in moves { (start + slot * size).copyMemory(from: start + rows[slot] * size, byteCount: size) }
    }
  }
}

extension Tensor {
  /// Whether one of so many equal parts is zero, whatever the shape.
  fileprivate func isZero(part: Int, of parts: Int) -> Bool {
    let width = elementCount / parts
    return withPointer { values in (part * width..<(part + 1) * width).allSatisfy { values[$0] == 0 } }
  }
}
