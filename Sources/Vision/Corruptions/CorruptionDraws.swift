// Where the random numbers of a corruption come from.

import CVision

/// The random numbers of one corrupted picture.
///
/// Counter-based: a draw is a function of the stream's seed, the corruption, the severity, the picture's number and the draw's own
/// number, so a picture comes out the same whatever the threads, the batch size or the order. Tests replay recorded draws instead.
public struct CorruptionDraws: Sendable {
  private enum Source: Sendable {
    case generated(seed: UInt64, tag: UInt32, picture: UInt64)
    case replayed([[Float]])
  }
  private let source: Source
  private var arraysTaken = 0

  /// The draws of one picture of a stream.
  package init(seed: UInt64, corruption: UInt8, severity: Int, picture: UInt64) {
    source = .generated(seed: seed, tag: UInt32(corruption) << 8 | UInt32(severity * 4), picture: picture)
  }
  /// Recorded draws, one array per request, in the order of the requests.
  package init(replaying arrays: [[Float]]) { source = .replayed(arrays) }

  /// Uniform draws from [0, 1), 24 bits each.
  package mutating func uniforms(_ count: Int) -> [Float] {
    take(count) { cvision_uniforms(CVISION_FASTEST, $0, $1, count) }
  }

  /// Draws of the standard normal law.
  package mutating func normals(_ count: Int) -> [Float] {
    take(count) { cvision_normals(CVISION_FASTEST, $0, $1, count) }
  }

  /// The next array of draws. The words of a picture's arrays differ in the upper half of the tag.
  private mutating func take(_ count: Int, _ make: (cvision_words, UnsafeMutablePointer<Float>?) -> Int32) -> [Float] {
    defer { arraysTaken += 1 }
    switch source {
    case .replayed(let arrays):
      precondition(arraysTaken < arrays.count && arrays[arraysTaken].count == count, "no \(count) recorded draws at place \(arraysTaken)")
      return arrays[arraysTaken]
    case .generated(let seed, let tag, let picture):
      let words = cvision_words(seed: seed, tag: UInt32(arraysTaken) << 16 | tag, picture: picture)
      return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
        _ = make(words, buffer.baseAddress)
        initialized = count
      }
    }
  }
}
