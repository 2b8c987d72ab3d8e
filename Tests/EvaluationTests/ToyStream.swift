// A small stream with known labels, and scores made of chosen answers.

import Engine
import Evaluation
import Streams
import Vision

/// Grey pictures of three classes: picture i has class i mod 3.
struct ToyImages: LabeledImages {
  let count: Int
  var classNames: [String]? { ["low", "mid", "high"] }
  func image(at index: Int) throws(TTAError) -> Image {
    Image(width: 8, height: 8, pixels: [UInt8](repeating: UInt8(60 + 60 * (index % 3)), count: 192))
  }
  func label(at index: Int) -> Int? { index % 3 }
  func name(at index: Int) -> String { "toy \(index)" }
}

enum Toy {
  static let domains = [Domain("brightness", severity: 3), Domain("contrast", severity: 5)]

  static func stream(images: Int = 6, batch: Int = 4) throws -> DomainStream {
    try DomainStream(ToyImages(count: images), domains: domains, batchSize: batch)
  }
  /// The score of answers that are wrong where `isWrong(domain, place)` says so; every batch takes half a second.
  static func score(_ stream: DomainStream, isWrong: (Int, Int) -> Bool) throws -> OnlineScore {
    var score = OnlineScore(classes: 3)
    for index in 0..<stream.count {
      let batch = try stream.batch(at: index)
      let answers = zip(batch.labels, batch.places).map { isWrong(batch.domainIndex, $1) ? ($0 + 1) % 3 : $0 }
      score.add(predicted: answers, to: batch, seconds: 0.5)
    }
    return score
  }
  static func standing(_ name: String, _ stream: DomainStream, isWrong: (Int, Int) -> Bool) throws -> SideBySideEvaluation.Standing {
    SideBySideEvaluation.Standing(name: name, score: try score(stream, isWrong: isWrong))
  }
}
