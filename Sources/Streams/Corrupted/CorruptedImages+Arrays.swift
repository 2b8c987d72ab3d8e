// Corrupted pictures as NumPy arrays, laid out as CIFAR-10-C is published.

public import Engine
import Vision

extension CorruptedImages {
  /// Writes `NAME.npy` for every corruption: a block of all pictures per severity, in order, and `labels.npy` with the labels of each block
  /// where the pictures have labels. All pictures must have one size.
  ///
  /// A file is there whole or not at all. `progress` is told about every few hundred pictures and stops the work with `false`; the
  /// result says whether it went to the end.
  public func writeArrays(to folder: String, progress: (CorruptionProgress) -> Bool) throws(TTAError) -> Bool {
    guard images.count > 0, let severities = domains.first.map({ first in domains.prefix { $0.kind == first.kind }.count }) else {
      return true
    }
    try makeFolder(folder)
    let first = try original(at: 0)
    let chunk = max(options.threads, min(256, (64 << 20) / max(1, first.pixels.count)))
    var written = 0
    for start in stride(from: 0, to: domains.count, by: severities) {
      let name = domains[start].kind.fileName
      var file = try NumpyWriter(path: "\(folder)/\(name).npy", type: .uint8, rowShape: [first.height, first.width, 3])
      for domain in domains[start..<start + severities] {
        for place in stride(from: 0, to: images.count, by: chunk) {
          let count = min(chunk, images.count - place)
          let pictures = try concurrently(count) { (index) throws(TTAError) in
            let image = try original(at: place + index)
            guard image.width == first.width, image.height == first.height else {
              throw TTAError(
                .invalidData,
                "picture \(place + index + 1) of \(images.count): \"\(images.name(at: place + index))\" has \(image.sizeText) pixels, expected "
                  + "\(first.sizeText) as \"\(images.name(at: 0))\"", hint: "an array holds pictures of one size; use --format png or jpeg")
            }
            return try corrupted(image, at: place + index, domain)
          }
          for picture in pictures { try file.append(picture) }
          written += count
          let isLast = place + count == images.count
          let state = CorruptionProgress(
            written: written, total: images.count * domains.count, text: "\(domain.label) \(domain.severityText)", endsBlock: isLast)
          if !progress(state) { return false }
        }
      }
      try file.close()
    }
    try writeLabels(to: folder, blocks: severities)
    return true
  }

  private func writeLabels(to folder: String, blocks: Int) throws(TTAError) {
    guard let labels = images.labels else { return }
    let isSmall = labels.allSatisfy { (0...255).contains($0) }
    var file = try NumpyWriter(path: "\(folder)/labels.npy", type: isSmall ? .uint8 : .int64, rowShape: [])
    for _ in 0..<blocks { for label in labels { try file.append(label: label) } }
    try file.close()
  }
}
