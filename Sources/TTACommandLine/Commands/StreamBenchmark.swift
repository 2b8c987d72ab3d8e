// tta bench --stream

import Engine
import Foundation
import Streams
import Vision

/// How fast the batches of a data set are made: read, decoded, brought to size and corrupted.
enum StreamBenchmark {
  private struct Row: Encodable {
    var domain: String, threads: Int
    var images_per_second: Double
  }
  private struct Result: Encodable {
    var dataset: String, kind: String, size: String
    var batch: Int, batches: Int
    var peak_memory_bytes: Int
    var rows: [Row]
  }

  /// Measures a clean and a noisy domain, or the data set's own corruption, on one and on all threads.
  static func run(_ path: String, batch: Int, batches: Int, threads: Int, json: Bool) throws {
    guard batch > 0, batches > 0, threads > 0 else {
      throw TTAError(.usage, "--batch, --repeats and --threads: expected numbers of at least 1")
    }
    let (kind, images) = try DatasetFolder.open(path)
    guard images.count > 0 else { throw TTAError(.invalidData, "\"\(path)\" has no pictures") }
    let first = try images.image(at: 0)
    var options = DomainStream.Options()
    let isSmall = min(first.width, first.height) < 96
    options.preprocessing = isSmall ? .exactly(first.width) : .imageNet
    let domains =
      images.corruptions.isEmpty
      ? [Domain.clean, Domain("gaussian-noise", severity: 5)] : [Domain(images.corruptions[0], severity: 5)]
    let places = (0..<batch * batches).map { $0 % images.count }
    var rows = [Row]()
    for domain in domains {
      let stream = try DomainStream(images, segments: [.init(domain: domain, places: places)], batchSize: batch, options: options)
      for count in Set([1, threads]).sorted() {
        let ahead = stream.prefetched(threads: count, depth: 2)
        let start = ContinuousClock.now
        var made = 0
        while let next = try ahead.next() { made += next.count }
        let seconds = (ContinuousClock.now - start).seconds
        rows.append(Row(domain: "\(domain)", threads: count, images_per_second: Double(made) / seconds))
      }
    }
    let result = Result(
      dataset: path, kind: kind.name, size: isSmall ? first.sizeText : "224×224", batch: batch, batches: batches,
      peak_memory_bytes: Machine.peakMemoryBytes, rows: rows)
    if json { return try Console.json(result) }
    Console.result("\(path) (\(kind.name)), \(result.size), \(batches) batches of \(batch)")
    var table = TextTable(["domain", "threads", "images/s"])
    for row in rows { table.add([row.domain, "\(row.threads)", Numbers.grouped(row.images_per_second)]) }
    table.lines.forEach(Console.result)
    Console.result("peak memory \(Numbers.bytes(result.peak_memory_bytes))")
  }
}
