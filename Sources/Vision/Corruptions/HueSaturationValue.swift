// The hexagonal colour space of brightness and saturation, in double and in the order of scikit-image.

/// A colour as hue in turns, saturation and value.
struct HueSaturationValue {
  var hue: Double
  var saturation: Double
  var value: Double

  /// From red, green and blue in 0...1; of equal maxima the later channel decides the hue.
  @inline(__always) init(red: Double, green: Double, blue: Double) {
    value = max(max(red, green), blue)
    let range = value - min(min(red, green), blue)
    guard range > 0 else {
      hue = 0
      saturation = 0
      return
    }
    saturation = range / value
    let sixths = blue == value ? 4 + (red - green) / range : green == value ? 2 + (blue - red) / range : (green - blue) / range
    hue = sixths / 6
    if hue < 0 { hue += 1 }
  }

  /// Back to red, green and blue.
  @inline(__always) var rgb: (red: Double, green: Double, blue: Double) {
    let sector = (hue * 6).rounded(.down)
    let f = hue * 6 - sector
    let p = value * (1 - saturation)
    let q = value * (1 - f * saturation)
    let t = value * (1 - (1 - f) * saturation)
    switch Int(sector) {
    case 1: return (q, value, p)
    case 2: return (p, value, t)
    case 3: return (p, q, value)
    case 4: return (t, p, value)
    case 5: return (value, p, q)
    default: return (value, t, p)
    }
  }
}
