// The discrete Fourier transform of small planes, for spectra.

import Foundation

/// Transforms of one length, a power of two times a small odd number.
final class FourierTransform {
  private let count: Int
  private let cosines: [Double]
  private let sines: [Double]

  init(count: Int) {
    self.count = count
    cosines = (0..<count).map { cos(2 * Double.pi * Double($0) / Double(count)) }
    sines = (0..<count).map { -sin(2 * Double.pi * Double($0) / Double(count)) }
  }

  /// Transforms rows and then columns of a square plane of `count` by `count` complex numbers.
  func transform(_ real: inout [Double], _ imaginary: inout [Double]) {
    var outR = [Double](repeating: 0, count: count)
    var outI = outR
    for step in [1, count] {
      for line in 0..<count {
        let start = step == 1 ? line * count : line
        real.withUnsafeBufferPointer { r in
          imaginary.withUnsafeBufferPointer { i in
            outR.withUnsafeMutableBufferPointer { a in
              outI.withUnsafeMutableBufferPointer { b in
                guard let a = a.baseAddress, let b = b.baseAddress, let r = r.baseAddress, let i = i.baseAddress else { return }
                transformLine(count, 1, r + start, i + start, step, a, b)
              }
            }
          }
        }
        for k in 0..<count {
          real[start + k * step] = outR[k]
          imaginary[start + k * step] = outI[k]
        }
      }
    }
  }

  /// A line of `n` numbers `step` apart; `turn` is how far the table goes on per frequency.
  private func transformLine(
    _ n: Int, _ turn: Int, _ r: UnsafePointer<Double>, _ i: UnsafePointer<Double>, _ step: Int, _ outR: UnsafeMutablePointer<Double>,
    _ outI: UnsafeMutablePointer<Double>
  ) {
    cosines.withUnsafeBufferPointer { cosines in
      sines.withUnsafeBufferPointer { sines in
        guard n % 2 == 0 else {
          for k in 0..<n {
            var (sumR, sumI) = (0.0, 0.0)
            for j in 0..<n {
              let t = k * j % n * turn
              sumR += r[j * step] * cosines[t] - i[j * step] * sines[t]
              sumI += r[j * step] * sines[t] + i[j * step] * cosines[t]
            }
            outR[k] = sumR
            outI[k] = sumI
          }
          return
        }
        let half = n / 2
        transformLine(half, 2 * turn, r, i, 2 * step, outR, outI)
        transformLine(half, 2 * turn, r + step, i + step, 2 * step, outR + half, outI + half)
        for k in 0..<half {
          let (c, s) = (cosines[k * turn], sines[k * turn])
          let (oddR, oddI) = (outR[half + k] * c - outI[half + k] * s, outR[half + k] * s + outI[half + k] * c)
          let (evenR, evenI) = (outR[k], outI[k])
          outR[k] = evenR + oddR
          outI[k] = evenI + oddI
          outR[half + k] = evenR - oddR
          outI[half + k] = evenI - oddI
        }
      }
    }
  }
}
