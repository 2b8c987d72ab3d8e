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
  package init(seed: UInt64, corruption: UInt8, severity: Double, picture: UInt64) {
    source = .generated(seed: seed, tag: UInt32(corruption) << 8 | UInt32(severity * 4), picture: picture)
  }
  /// Recorded draws, one array per request, in the order of the requests.
  package init(replaying arrays: [[Float]]) { source = .replayed(arrays) }

  /// The next array of draws: the words that it is made from, or the recorded one.
  enum Next {
    case words(cvision_words)
    case recorded([Float])
  }

  /// The next array, of `count` draws. The words of a picture's arrays differ in the upper half of the tag.
  mutating func next(_ count: Int) -> Next {
    defer { arraysTaken += 1 }
    switch source {
    case .replayed(let arrays):
      precondition(arraysTaken < arrays.count && arrays[arraysTaken].count == count, "no \(count) recorded draws at place \(arraysTaken)")
      return .recorded(arrays[arraysTaken])
    case .generated(let seed, let tag, let picture):
      return .words(cvision_words(seed: seed, tag: UInt32(arraysTaken) << 16 | tag, picture: picture))
    }
  }

  /// Uniform draws from [0, 1), 24 bits each.
  package mutating func uniforms(_ count: Int) -> [Float] {
    switch next(count) {
    case .recorded(let values): values
    case .words(let words): filled(count) { cvision_uniforms(words, $0, count) }
    }
  }

  /// One uniform draw from a range.
  mutating func uniform(in range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * Double(uniforms(1)[0])
  }

  /// Draws of the standard normal law.
  package mutating func normals(_ count: Int) -> [Float] {
    switch next(count) {
    case .recorded(let values): values
    case .words(let words): filled(count) { cvision_normals(words, $0, count) }
    }
  }

  /// Whole numbers from a range, all equally likely.
  package mutating func integers(_ count: Int, in range: Range<Int>) -> [Int32] {
    switch next(count) {
    case .recorded(let values): values.map { Int32($0) }
    case .words(let words): filled(count) { cvision_integers(words, Int32(range.lowerBound), UInt32(range.count), $0, count) }
    }
  }

  private func filled<Element>(_ count: Int, _ fill: (UnsafeMutablePointer<Element>?) -> Void) -> [Element] {
    [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      fill(buffer.baseAddress)
      initialized = count
    }
  }
}
