// The taps of a motion blur.

import CVision
import Foundation

/// Half a Gaussian along a line, as ImageMagick lays it out.
struct MotionTaps {
  private let weights: [Double]
  private let columns: [Int32]
  private let rows: [Int32]

  /// Taps over `2 ⌈radius⌉ + 1` pixels, away from the picture's own pixel at an angle in degrees, clockwise from the right.
  init(radius: Double, deviation: Double, degrees: Double) {
    let count = 2 * Int(radius.rounded(.up)) + 1
    let raw = (0..<count).map { exp(-Double($0 * $0) / (2 * deviation * deviation)) }
    let sum = raw.reduce(0, +)
    weights = raw.map { $0 / sum }
    let angle = degrees * Double.pi / 180
    columns = (0..<count).map { Int32((Double($0) * cos(angle) - 0.5).rounded(.up)) }
    rows = (0..<count).map { Int32((Double($0) * sin(angle) - 0.5).rounded(.up)) }
  }

  /// Lends the taps to a loop.
  func withLoopTaps(_ body: (cvision_motion_taps) -> Void) {
    weights.withUnsafeBufferPointer { weights in
      columns.withUnsafeBufferPointer { columns in
        rows.withUnsafeBufferPointer { rows in
          body(
            cvision_motion_taps(weights: weights.baseAddress, columns: columns.baseAddress, rows: rows.baseAddress, count: weights.count))
        }
      }
    }
  }
}
