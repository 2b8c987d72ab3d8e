// The protocol of all corruptions, and the two tables of their parameters.

import CVision

/// A common corruption at one severity of one table.
///
/// Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019. A conformance
/// is one file with the published parameters; a row of `CorruptionKind.all` gives it its name.
public protocol Corruption: Sendable {
  /// The corrupted picture, of the same size. Results are truncated to 8 bits, as the published ones are.
  func apply(to image: Image, draws: inout CorruptionDraws) -> Image
}

/// Which of the two published sets of parameters is used.
public enum CorruptionTable: String, Codable, Sendable, CaseIterable {
  /// CIFAR-10-C and CIFAR-100-C, made for 32×32 pixels.
  case cifar
  /// ImageNet-C, made for 224×224 pixels.
  case imagenet

  /// Side of the pictures that the parameters were made for.
  public var side: Int { self == .cifar ? 32 : 224 }

  /// The table for a size: CIFAR's where the shorter side has less than 96 pixels. Parameters are lengths in pixels and are not scaled,
  /// so a size other than the table's own makes a corruption weaker or stronger than the published one.
  public static func suited(toHeight height: Int, width: Int) -> CorruptionTable { min(height, width) < 96 ? .cifar : .imagenet }
}

extension Image {
  /// The size for the loops in C.
  var loopSize: cvision_size { cvision_size(width: width, height: height) }

  /// A picture of the same size whose samples a loop writes from these.
  func changed(_ loop: (_ samples: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<UInt8>) -> Void) -> Image {
    guard !pixels.isEmpty else { return self }
    return Image(width: width, height: height) { out in withPixels { samples in loop(samples, out) } }
  }
}
