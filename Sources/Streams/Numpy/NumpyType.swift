// The element types of arrays.

/// An element type of NumPy arrays; little endian.
public enum NumpyType: String, Codable, Sendable, CaseIterable {
  /// Samples, and labels.
  case uint8 = "|u1"
  /// Labels.
  case int32 = "<i4"
  /// Labels.
  case uint32 = "<u4"
  /// Labels, NumPy's own default.
  case int64 = "<i8"
  /// Numbers.
  case float32 = "<f4"

  /// Bytes of an element.
  public var size: Int {
    switch self {
    case .uint8: 1
    case .int32, .uint32, .float32: 4
    case .int64: 8
    }
  }
  /// `uint8`, as NumPy prints it.
  public var name: String { String(describing: self) }
}
