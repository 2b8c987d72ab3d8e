// Two corruptions at a time whose severities change all the time.

public import Engine
public import Vision

/// Corruptions that fade into each other at nearly constant difficulty, without an end; no reset.
///
/// "CCC" of RDumb (Press et al., NeurIPS 2023), with a calibration of the user's own model.
public struct ContinuouslyChanging: StreamSetting {
  /// File of a `CalibrationMatrix`.
  public var calibration = ""
  /// Accuracy of the calibrated model that is aimed at, in per cent: 40 easy, 20 medium, 0 hard.
  public var target = 40.0
  /// Pictures per step of severity: 1000, 2000, 5000.
  public var speed = 1_000
  /// Pictures of the stream; 7.5 million are published.
  public var length = 100_000
  /// Whether pictures are mirrored and cut out at random before they are corrupted, as the published ones of ImageNet are.
  public var crops = false
  /// A matrix given in code instead of a file.
  public var matrix: CalibrationMatrix?

  private enum CodingKeys: String, CodingKey { case calibration, target, speed, length, crops }

  /// The defaults.
  public init() {}

  /// As torchvision's training programs cut.
  public var crop: RandomResizedCrop? { crops ? RandomResizedCrop() : nil }

  /// The corruptions of a target: below 40 per cent jpeg-compression is left out too, below 20 three noises and contrast remain.
  static func corruptions(target: Double, of all: [String]) -> [String] {
    let hard = ["gaussian-noise", "shot-noise", "impulse-noise", "contrast"]
    return all.filter { name in
      target < 20 ? hard.contains(name) : name != "brightness" && (target >= 40 || name != "jpeg-compression")
    }
  }

  /// One part per pair of corruptions; its pictures are distinct within a step of severity as long as there are enough.
  public func segments(of contents: StreamContents, random: RandomSource) throws(TTAError) -> [StreamSegment] {
    guard speed > 0, length > 0, (0...100).contains(target) else {
      throw TTAError(
        .usage, "speed \(speed), length \(length), target \(target): expected at least 1, at least 1 and 0...100",
        hint: "the published streams have 1000, 7500000 and 40, 20 or 0")
    }
    guard matrix != nil || !calibration.isEmpty else {
      throw TTAError(
        .usage, "setting ccc without a calibration", hint: "name the file of a calibration of the source model: calibration=FILE")
    }
    let matrix: CalibrationMatrix = if let given = self.matrix { given } else { try CalibrationMatrix(path: calibration) }
    let names = Self.corruptions(target: target, of: matrix.corruptions)
    guard names.count > 1 else {
      throw TTAError(
        .usage, "setting ccc with target \(target) has \(names.count) of the calibrated corruptions, expected at least 2",
        hint: "calibrate gaussian-noise, shot-noise, impulse-noise, contrast and others")
    }
    let places = contents.known(0..<contents.count)
    guard !places.isEmpty else { throw TTAError(.usage, "setting ccc without pictures", hint: "name a data set") }
    var draws = random
    var first = draws.below(names.count)
    var segments = [StreamSegment]()
    var left = length
    while left > 0 {
      var second = draws.below(names.count - 1)
      if second >= first { second += 1 }
      guard let pair = matrix.pair(names[first], names[second]) else {
        throw TTAError(
          .usage, "the calibration has no \(names[first]) then \(names[second])", hint: "calibrate all ordered pairs")
      }
      let items = Self.items(CorruptionPath(pair, target: target), pair, places, speed: speed, &draws)
      segments.append(StreamSegment(named: "\(pair.first) to \(pair.second)", items: Array(items.prefix(left))))
      left -= items.count
      first = second
    }
    return segments
  }

  private static func items(
    _ path: CorruptionPath, _ pair: CalibrationMatrix.Pair, _ places: [Int], speed: Int, _ random: inout RandomSource
  ) -> [StreamItem] {
    var items = [StreamItem]()
    for node in path.nodes {
      let steps = [(pair.first, node.first), (pair.second, node.second)].filter { $0.1 > 0 }
        .map { Domain.Step($0.0, severity: Double($0.1) * CalibrationMatrix.step) }
      let domain = Domain(name: nil, steps: steps)
      var left = speed
      while left > 0 {
        let chosen = random.shuffled(places).prefix(left)
        items += chosen.map { StreamItem(place: $0, domain: domain) }
        left -= chosen.count
      }
    }
    return items
  }
}
