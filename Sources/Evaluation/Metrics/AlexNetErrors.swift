// AlexNet's published errors on ImageNet-C.

/// AlexNet's top-1 errors on ImageNet-C in per cent, means over five severities (Hendrycks and Dietterich, "Benchmarking Neural Network
/// Robustness to Common Corruptions and Perturbations", ICLR 2019).
public enum AlexNetErrors {
  /// By the corruption's name.
  public static let percent: [(corruption: String, error: Double)] = [
    ("gaussian-noise", 88.6428), ("shot-noise", 89.4468), ("impulse-noise", 92.2640), ("defocus-blur", 81.9880), ("glass-blur", 82.6268),
    ("motion-blur", 78.5948), ("zoom-blur", 79.8360), ("snow", 86.6816), ("frost", 82.6572), ("fog", 81.9324), ("brightness", 56.4592),
    ("contrast", 85.3204), ("elastic-transform", 64.6056), ("pixelate", 71.7840), ("jpeg-compression", 60.6500),
  ]
}
