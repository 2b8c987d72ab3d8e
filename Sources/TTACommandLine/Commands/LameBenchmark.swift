// tta bench --lame

import Engine
import Foundation
import TTA

/// How long LAME takes for a batch, affinities included, by number of images and of classes.
enum LameBenchmark {
  private struct Row: Encodable { var images: Int, classes: Int, milliseconds: Double, iterations: Int }
  private struct Result: Encodable { var threads: Int, repeats: Int, rows: [Row] }

  /// Images, classes; the features have 512 values.
  private static let sizes = [(64, 10), (64, 1000), (256, 10), (256, 1000), (1024, 10), (1024, 1000), (4096, 10), (4096, 1000)]

  /// Measures nearest-neighbour affinities of `Benchmarks/peers/lame.py`'s kind of data: medians of `repeats`, after one run.
  static func run(repeats: Int, threads: Int, json: Bool) throws {
    guard repeats > 0, threads > 0 else { throw TTAError(.usage, "--repeats and --threads: expected numbers of at least 1") }
    let executor = Executor(threads: threads)
    var rows = [Row]()
    for (images, classes) in sizes {
      let (features, probabilities) = clusters(images: images, classes: classes)
      var (seconds, iterations) = ([Double](), 0)
      for _ in 0...repeats {
        let start = ContinuousClock.now
        let affinities = Affinities(features: features, Lame.Options(), on: executor)
        iterations = Lame.solve(probabilities, affinities, on: executor).energies.count
        seconds.append((ContinuousClock.now - start).seconds)
      }
      let measured = seconds.dropFirst().sorted()
      rows.append(Row(images: images, classes: classes, milliseconds: measured[measured.count / 2] * 1e3, iterations: iterations))
    }
    if json { return try Console.json(Result(threads: threads, repeats: repeats, rows: rows)) }
    Console.result("lame, 5 nearest neighbours, features of 512, \(threads) threads, median of \(repeats)")
    var table = TextTable(["images", "classes", "time", "iterations"])
    for row in rows { table.add(["\(row.images)", "\(row.classes)", Numbers.time(seconds: row.milliseconds / 1e3), "\(row.iterations)"]) }
    table.lines.forEach(Console.result)
  }

  /// Images in order of their classes: features around one centre per class, logits of noise that leans to the class.
  private static func clusters(images: Int, classes: Int) -> (features: Tensor, probabilities: Tensor) {
    let width = 512
    var random = RandomSource(seed: 3)
    var centres = Tensor(zeros: [classes, width]), features = Tensor(zeros: [images, width]), logits = Tensor(zeros: [images, classes])
    centres.update { span in for i in span.indices { span[i] = 2 * random.uniform() - 1 } }
    features.update { span in for i in span.indices { span[i] = 2 * random.uniform() - 1 } }
    logits.update { span in for i in span.indices { span[i] = 3 * random.uniform() } }
    for image in 0..<images {
      let label = image * classes / images
      centres.withSpan { centre in
        features.update { span in for k in 0..<width { span[image * width + k] += centre[label * width + k] } }
      }
      logits.update { $0[image * classes + label] += 2 }
    }
    return (features, softmax(logits))
  }
}
