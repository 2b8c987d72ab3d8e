// Corrupted pictures as files, in the tree of their originals.

public import Engine
import Foundation
public import Vision

extension CorruptedImages {
  /// Writes `CORRUPTION/SEVERITY/` and within it every picture at its path below the input. JPEG files have quality 85, halved chroma and
  /// optimised tables, as the published corrupted ImageNet.
  ///
  /// `paths` are the pictures' places in the tree, without regard to their ending. A file is there whole or not at all. `progress` is told
  /// about every few pictures and stops the work with `false`; the result says whether it went to the end.
  public func writeFiles(
    to folder: String, paths: [String], format: ImageCodec.Format, progress: (CorruptionProgress) -> Bool
  ) throws(TTAError) -> Bool {
    precondition(paths.count == images.count, "\(paths.count) paths for \(images.count) pictures")
    let targets = try Self.targets(paths, format)
    for domain in domains {
      for part in Set(targets.map { ($0 as NSString).deletingLastPathComponent }) {
        try makeFolder("\(place(of: domain, in: folder))/\(part)")
      }
    }
    let chunk = max(1, options.threads) * 4
    for start in stride(from: 0, to: images.count, by: chunk) {
      let count = min(chunk, images.count - start)
      _ = try concurrently(count) { (index) throws(TTAError) in
        let number = start + index
        let image = try original(at: number)
        for domain in domains {
          let picture = try corrupted(image, at: number, domain, asJPEG: format == .jpeg)
          let bytes = format == .jpeg ? try ImageCodec.jpeg(picture, quality: 85, optimized: true) : try ImageCodec.png(picture)
          try AtomicFile.write(bytes, to: "\(place(of: domain, in: folder))/\(targets[number])")
        }
      }
      let done = start + count
      let state = CorruptionProgress(
        written: done * domains.count, total: images.count * domains.count, text: images.name(at: done - 1),
        endsBlock: done == images.count || start * 10 / images.count != done * 10 / images.count)
      if !progress(state) { return false }
    }
    return true
  }

  private func place(of domain: Domain, in folder: String) -> String { "\(folder)/\(domain.kind.fileName)/\(domain.severityText)" }

  /// Paths with the ending of a format; a JPEG file keeps the one it has.
  private static func targets(_ paths: [String], _ format: ImageCodec.Format) throws(TTAError) -> [String] {
    var owners = [String: String]()
    var targets = [String]()
    for path in paths {
      let ending = (path as NSString).pathExtension.lowercased()
      let keeps = format == .jpeg && ["jpg", "jpeg"].contains(ending)
      let isPicture = ["png", "jpg", "jpeg"].contains(ending)
      let target = keeps ? path : (isPicture ? (path as NSString).deletingPathExtension : path) + (format == .jpeg ? ".jpg" : ".png")
      if let other = owners[target] {
        throw TTAError(
          .usage, "\"\(path)\" and \"\(other)\" would both become \"\(target)\"", hint: "rename one of them")
      }
      owners[target] = path
      targets.append(target)
    }
    return targets
  }
}
