// Numbers as text.

import Foundation

/// Numbers as people read them.
package enum Numbers {
  /// 4120 → `4,120`.
  package static func grouped(_ value: Double) -> String {
    let digits = String(Int(value.rounded()))
    var result = ""
    for (position, digit) in digits.reversed().enumerated() {
      if position > 0, position % 3 == 0, digit != "-" { result.append(",") }
      result.append(digit)
    }
    return String(result.reversed())
  }
  /// A fixed number of decimals, with a point.
  package static func decimals(_ value: Double, _ count: Int) -> String { String(format: "%.\(count)f", value) }
  /// `1.5 s`, `54 ms`.
  package static func time(seconds: Double) -> String {
    seconds >= 1 ? decimals(seconds, 1) + " s" : decimals(seconds * 1000, seconds < 0.01 ? 2 : 1) + " ms"
  }
  /// `1:05`.
  package static func clock(seconds: Double) -> String {
    let total = max(0, Int(seconds.rounded(.up)))
    return "\(total / 60):" + String(format: "%02d", total % 60)
  }
  /// `3.4 MB`, in units of 1,048,576 bytes.
  package static func bytes(_ count: Int) -> String {
    let megabytes = Double(count) / 1_048_576
    return megabytes >= 10 ? grouped(megabytes) + " MB" : decimals(megabytes, 1) + " MB"
  }
}
