// Where the random numbers of a corruption come from.

import Engine

/// The random numbers of one corrupted picture.
///
/// Counter-based: a draw is a function of the stream's seed, the corruption, the severity, the picture's number and the draw's own
/// number, so a picture comes out the same whatever the threads, the batch size or the order. Tests replay recorded draws instead.
public struct CorruptionDraws: Sendable {
  private enum Source: Sendable {
    /// Words at the counter (block, tag | number of the array << 16, picture).
    case generated(Philox, tag: UInt64, picture: UInt64)
    case replayed([[Float]])
  }
  private let source: Source
  private var arraysTaken = 0

  /// The draws of one picture of a stream.
  init(seed: UInt64, corruption: UInt8, severity: Int, picture: UInt64) {
    source = .generated(Philox(seed: seed), tag: UInt64(corruption) << 8 | UInt64(severity * 4), picture: picture)
  }
  /// Recorded draws, one array per request, in the order of the requests.
  package init(replaying arrays: [[Float]]) { source = .replayed(arrays) }

  /// Uniform draws from [0, 1), 24 bits each.
  mutating func uniforms(_ count: Int) -> [Float] { take(count) { Float($0 >> 8) * 0x1p-24 } }

  /// Draws of the standard normal law.
  mutating func normals(_ count: Int) -> [Float] {
    take(count) { Float(NormalLaw.quantile((Double($0) + 0.5) * 0x1p-32)) }
  }

  /// The next array of draws, each made from a word of 32 random bits.
  @inline(__always) private mutating func take(_ count: Int, _ make: (UInt32) -> Float) -> [Float] {
    defer { arraysTaken += 1 }
    switch source {
    case .replayed(let arrays):
      precondition(arraysTaken < arrays.count && arrays[arraysTaken].count == count, "no \(count) recorded draws at place \(arraysTaken)")
      return arrays[arraysTaken]
    case .generated(let words, let tag, let picture):
      let high = (UInt64(arraysTaken) << 16 | tag) << 32
      return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
        var position = 0
        while position < count {
          let block = words.block(high | UInt64(position >> 2), picture)
          for lane in 0..<min(4, count - position) { buffer[position + lane] = make(block[lane]) }
          position += 4
        }
        initialized = count
      }
    }
  }
}
