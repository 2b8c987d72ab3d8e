// Pictures made of formulas, the same as `Tests/Goldens/generate.py` and the published reference cases use.

public import Vision

/// Pictures made of formulas.
public enum Patterns {
  /// Hashed coordinates with doubled contrast.
  public static func noise(width: Int, height: Int) -> Image {
    picture(width: width, height: height) { x, y, c in
      var h = UInt32(truncatingIfNeeded: x &* 374_761_393 &+ y &* 668_265_263 &+ c &* 362_437 &+ 12_345)
      h = (h ^ (h >> 13)) &* 1_274_126_177
      return (Int((h >> 16) & 255) - 128) * 2 + 128
    }
  }

  /// The picture of the corruption reference cases.
  public static func reference(side n: Int) -> Image {
    picture(width: n, height: n) { x, y, c in
      if x > 3 * n / 4, y < n / 4 { return 255 }
      if x < n / 5, y > 4 * n / 5 { return 0 }
      let (dx, dy) = (x - n / 3, y - n / 2)
      let inDisc = dx * dx + dy * dy < (n / 4) * (n / 4)
      switch c {
      case 0:
        let red = (256 * x / n) & 255
        return inDisc ? 255 - red : red
      case 1: return inDisc ? 230 : (256 * (x * x + 3 * y * y) / (n * n)) & 255
      default: return (256 * (x ^ y) / n) & 255
      }
    }
  }

  /// One colour.
  public static func flat(_ level: Int, width: Int, height: Int) -> Image { picture(width: width, height: height) { _, _, _ in level } }

  private static func picture(width: Int, height: Int, _ sample: (_ x: Int, _ y: Int, _ channel: Int) -> Int) -> Image {
    Image(width: width, height: height) { pixels in
      for i in 0..<width * height * 3 {
        pixels[i] = UInt8(min(max(sample(i / 3 % width, i / 3 / width, i % 3), 0), 255))
      }
    }
  }
}
