// How accurate a source model is under two corruptions in sequence.

public import Engine
import Foundation

/// The accuracy of a source model under pairs of corruptions, at severities 0, 0.25, …, 5 of each: what continuously changing corruptions
/// are planned with.
///
/// Press et al., "RDumb: A simple approach that questions our progress in continual test-time adaptation", NeurIPS 2023.
public struct CalibrationMatrix: Hashable, Codable, Sendable {
  /// Severities of one corruption: 21.
  public static let side = 21
  /// Distance between two severities.
  public static let step = 0.25

  /// The accuracies of one pair of corruptions.
  public struct Pair: Hashable, Codable, Sendable {
    /// The corruption that is applied first.
    public var first: String
    /// The corruption that is applied to its result.
    public var second: String
    /// Accuracy in per cent, `21 × first severity + second severity`, severities in quarters.
    public var accuracy: [Double]

    /// The accuracies of a pair.
    public init(first: String, second: String, accuracy: [Double]) { (self.first, self.second, self.accuracy) = (first, second, accuracy) }
  }

  /// The model and the pictures that were measured, in words or as digests; a stream is comparable with another of the same ones only.
  public var subject: String
  /// The pairs that were measured.
  public private(set) var pairs: [Pair] = []

  /// Nothing measured yet.
  public init(subject: String) { self.subject = subject }

  /// The accuracies of a pair.
  public func pair(_ first: String, _ second: String) -> Pair? { pairs.first { $0.first == first && $0.second == second } }
  /// The corruptions that occur.
  public var corruptions: [String] {
    var names = [String]()
    for pair in pairs { for name in [pair.first, pair.second] where !names.contains(name) { names.append(name) } }
    return names
  }

  /// Measures every ordered pair of corruptions that is missing: on a coarse grid, between its points bilinearly.
  ///
  /// `coarseStep` is the distance of the measured severities: 0.25, 0.5, 1, 1.25, 2.5 or 5. `accuracy` answers in per cent. `didMeasure` is
  /// called after each pair, for example to write the file, so that an interrupted calibration goes on where it was.
  public mutating func measure(
    _ corruptions: [String], coarseStep: Double = 0.5,
    accuracy: (_ first: String, _ firstSeverity: Double, _ second: String, _ secondSeverity: Double) throws -> Double,
    didMeasure: (CalibrationMatrix) throws -> Void = { _ in }
  ) throws {
    let stride = Int(coarseStep / Self.step)
    guard stride > 0, (Self.side - 1) % stride == 0, Double(stride) * Self.step == coarseStep else {
      throw TTAError(.usage, "a calibration step of \(coarseStep), expected 0.25, 0.5, 1, 1.25, 2.5 or 5", hint: "0.5 is the default")
    }
    for first in corruptions {
      for second in corruptions where first != second && pair(first, second) == nil {
        var coarse = [[Double]]()
        for i in Swift.stride(from: 0, to: Self.side, by: stride) {
          coarse.append(
            try Swift.stride(from: 0, to: Self.side, by: stride).map { j in
              try accuracy(first, Double(i) * Self.step, second, Double(j) * Self.step)
            })
        }
        pairs.append(Pair(first: first, second: second, accuracy: Self.refined(coarse, stride: stride)))
        try didMeasure(self)
      }
    }
  }

  private static func refined(_ coarse: [[Double]], stride: Int) -> [Double] {
    (0..<side * side).map { index in
      let (i, j) = (index / side, index % side)
      let (row, column) = (min(i / stride, coarse.count - 2), min(j / stride, coarse.count - 2))
      let (y, x) = (Double(i - row * stride) / Double(stride), Double(j - column * stride) / Double(stride))
      let top = coarse[row][column] * (1 - x) + coarse[row][column + 1] * x
      let bottom = coarse[row + 1][column] * (1 - x) + coarse[row + 1][column + 1] * x
      return top * (1 - y) + bottom * y
    }
  }

  /// The matrix of a file. Throws where it is no matrix, or a pair has not 441 accuracies in 0...100.
  public init(path: String) throws(TTAError) {
    let file = try MappedFile(path: path)
    let data = withExtendedLifetime(file) { Data(file.bytes) }
    do { self = try JSONDecoder().decode(Self.self, from: data) } catch {
      throw TTAError(
        .invalidData, "\"\(path)\" is no calibration matrix", hint: "expected JSON with \"subject\" and \"pairs\"", cause: error)
    }
    for pair in pairs {
      let count = Self.side * Self.side
      guard pair.accuracy.count == count, pair.accuracy.allSatisfy({ (0...100).contains($0) }) else {
        throw TTAError(
          .invalidData,
          "\"\(path)\": \(pair.first) then \(pair.second) has \(pair.accuracy.count) accuracies, expected \(count) in 0...100",
          hint: "calibrate again")
      }
    }
  }
  /// Writes the matrix to a file.
  public func write(to path: String) throws(TTAError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let text: String
    do { text = String(decoding: try encoder.encode(self), as: UTF8.self) } catch {
      throw TTAError(.internal, "the calibration matrix cannot be written as JSON", cause: error)
    }
    try AtomicFile.write(text + "\n", to: path)
  }
}
