// What frost looks like, in numbers.

/// Statistics of a photograph of frost, which procedural textures are given.
struct FrostTarget: Sendable {
  /// 17 quantiles of the luminance at equal distances, from the smallest to the largest, 0...255.
  let quantiles: [Double]
  /// Variances of the luminance in the bands of spatial frequency.
  let bandVariances: [Double]
  /// Slope and offset of red, green and blue as functions of the luminance.
  let colours: [Double]

  /// Edges of the octave bands, in cycles per pixel.
  static let bandEdges = [0.0, 0.0078125, 0.015625, 0.03125, 0.0625, 0.125, 0.25, 0.75]
  /// The photographs 1, 2 (3 is the same), 4 and 5.
  static let all = [
    FrostTarget(
      quantiles: [80.8, 103.9, 109.1, 112.9, 116.1, 119.1, 122.0, 124.9, 127.9, 130.9, 134.0, 137.4, 141.3, 145.9, 151.8, 160.5, 219.7],
      bandVariances: [181.18, 29.07, 17.28, 11.24, 15.26, 35.18, 48.02], colours: [1.358, -98.4, 0.876, 35.55, 0.6996, 75.03]),
    FrostTarget(
      quantiles: [56.2, 168.1, 179.9, 187.3, 193.0, 197.7, 201.5, 205.1, 208.1, 211.1, 214.2, 217.2, 220.4, 224.0, 228.0, 233.2, 254.0],
      bandVariances: [190.16, 34.99, 42.63, 49.38, 53.58, 57.66, 50.98], colours: [0.9736, 1.17, 1.0083, -1.38, 1.0264, 4.02]),
    FrostTarget(
      quantiles: [22.1, 105.8, 118.7, 126.3, 132.0, 136.8, 141.7, 145.8, 149.8, 153.8, 157.8, 162.0, 166.7, 172.0, 179.1, 191.7, 253.8],
      bandVariances: [328.5, 21.2, 30.46, 61.86, 89.58, 141.19, 145.72], colours: [0.9942, -11.17, 0.9956, 3.77, 1.0379, 9.85]),
    FrostTarget(
      quantiles: [23.4, 60.8, 72.7, 81.2, 89.0, 96.3, 103.0, 110.0, 116.8, 124.0, 131.8, 139.8, 148.8, 159.1, 174.0, 195.4, 255.0],
      bandVariances: [649.51, 148.7, 227.12, 215.91, 213.24, 206.71, 223.66], colours: [1.0228, -11.77, 0.9964, 2.43, 0.9587, 18.38]),
  ]
  /// Which of them the five drawn photographs are.
  static let slots = [0, 1, 1, 2, 3]
}
