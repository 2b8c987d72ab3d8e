// Numbers as weight files store them.

/// Element types of weight files, by safetensors' names; all little-endian.
public enum StoredType: String, Sendable, CaseIterable {
  /// Floating point.
  case f64 = "F64", f32 = "F32", f16 = "F16", bf16 = "BF16"
  /// Integers.
  case i64 = "I64", i32 = "I32", i16 = "I16", i8 = "I8", u8 = "U8", bool = "BOOL"

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .f64, .i64: 8
    case .f32, .i32: 4
    case .f16, .bf16, .i16: 2
    case .i8, .u8, .bool: 1
    }
  }
  /// Whether its values are integers.
  public var isInteger: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16: false
    case .i64, .i32, .i16, .i8, .u8, .bool: true
    }
  }
  /// The element of a number as float32.
  package func value(_ i: Int, of raw: UnsafeRawBufferPointer) -> Float {
    switch self {
    case .f64: Float(raw.loadUnaligned(fromByteOffset: i * 8, as: Double.self))
    case .f32: raw.loadUnaligned(fromByteOffset: i * 4, as: Float.self)
    case .f16: halfToFloat(raw.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self))
    case .bf16: Float(bitPattern: UInt32(raw.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self)) << 16)
    case .i64, .i32, .i16, .i8, .u8, .bool: Float(integer(i, of: raw))
    }
  }
  /// The element of a number of an integer type.
  package func integer(_ i: Int, of raw: UnsafeRawBufferPointer) -> Int {
    switch self {
    case .i64: Int(raw.loadUnaligned(fromByteOffset: i * 8, as: Int64.self))
    case .i32: Int(raw.loadUnaligned(fromByteOffset: i * 4, as: Int32.self))
    case .i16: Int(raw.loadUnaligned(fromByteOffset: i * 2, as: Int16.self))
    case .i8: Int(raw.loadUnaligned(fromByteOffset: i, as: Int8.self))
    case .u8, .bool: Int(raw[i])
    case .f64, .f32, .f16, .bf16: preconditionFailure("a floating-point type")
    }
  }
  /// Elements one after the other as a tensor. Float32 values at a multiple of four bytes are not copied: `owner` keeps them alive.
  package func tensor(of raw: UnsafeRawBufferPointer, shape: Shape, owner: AnyObject) -> Tensor {
    if self == .f32, let base = raw.baseAddress, UInt(bitPattern: base) % 4 == 0, shape.elementCount > 0 {
      return Tensor(borrowing: base.assumingMemoryBound(to: Float.self), shape: shape, owner: owner)
    }
    return Tensor((0..<shape.elementCount).map { value($0, of: raw) }, shape: shape)
  }
}

/// IEEE half precision to single, subnormals included.
private func halfToFloat(_ bits: UInt16) -> Float {
  let sign = UInt32(bits & 0x8000) << 16
  let exponent = UInt32(bits >> 10 & 0x1F)
  let fraction = UInt32(bits & 0x3FF)
  switch exponent {
  case 0: return Float(bitPattern: sign) + Float(fraction) * (sign == 0 ? 0x1p-24 : -0x1p-24)
  case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}

/// Single precision to IEEE half, rounded to nearest even; too large values become infinite.
package func floatToHalf(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  let sign = UInt16(bits >> 16 & 0x8000)
  let magnitude = bits & 0x7FFF_FFFF
  if magnitude >= 0x7F80_0000 { return sign | 0x7C00 | (magnitude > 0x7F80_0000 ? 0x200 : 0) }
  if magnitude >= 0x477F_F000 { return sign | 0x7C00 }
  if magnitude < 0x3880_0000 {
    let scaled = Float(bitPattern: magnitude) * 0x1p24
    return sign | UInt16(scaled.rounded(.toNearestOrEven))
  }
  let rounded = magnitude + 0xFFF + (magnitude >> 13 & 1)
  return sign | UInt16((rounded - 0x3800_0000) >> 13)
}
