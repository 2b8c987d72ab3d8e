// Random crops and mirror images: the training views of small pictures.

public import Engine

/// A window of the picture with a black border of an eighth of its side, mirrored in half of the cases; each image of a batch has draws of its own.
///
/// The training transform of CIFAR networks (four pixels for 32), and the views of test-time training (Sun et al., ICML 2020).
public struct CropAndFlip: Augmentation {
  /// An eighth of the side.
  public init() {}
  /// One view of each image.
  public func view(_ number: Int, of images: Tensor, using random: inout RandomSource, on executor: Executor) -> Tensor {
    let dimensions = images.shape.dimensions
    let (height, width) = (dimensions[2], dimensions[3])
    let draws = (0..<images.count).map { _ in
      (
        down: Int.random(in: -(height / 8)...height / 8, using: &random), right: Int.random(in: -(width / 8)...width / 8, using: &random),
        flips: random.uniform() < 0.5
      )
    }
    var views = Tensor(zeros: images.shape)
    images.withSpan { old in
      views.update { new in
        for (image, draw) in draws.enumerated() {
          for plane in image * dimensions[1]..<(image + 1) * dimensions[1] {
            for row in max(0, -draw.down)..<min(height, height - draw.down) {
              for column in 0..<width {
                let source = (draw.flips ? width - 1 - column : column) + draw.right
                guard source >= 0, source < width else { continue }
                new[(plane * height + row) * width + column] = old[(plane * height + row + draw.down) * width + source]
              }
            }
          }
        }
      }
    }
    return views
  }
}
