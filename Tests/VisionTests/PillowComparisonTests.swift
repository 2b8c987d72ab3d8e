// Hundreds of random pictures against Pillow, where Python has it: decoding, resizing, cropping and tensors, sample by sample.

import Engine
import Foundation
import Testing
import Vision
import VisionTestSupport

@Suite struct PillowComparisonTests {
  private struct Case: Decodable {
    var file: String
    var from: [Int]
    var to: [Int]
    var filter: Interpolation
    var crop: Int
    var decoded: UInt32
    var resized: UInt32
    var cropped: UInt32
    var tensor: UInt32
  }

  /// The cases of `TTA_PILLOW_CASES`, or new ones made by Python; `nil` where it has no Pillow.
  private func cases(in folder: URL) throws -> (folder: URL, cases: [Case])? {
    if let given = ProcessInfo.processInfo.environment["TTA_PILLOW_CASES"] {
      let folder = URL(fileURLWithPath: given)
      return (folder, try References.decode([Case].self, folder.appending(path: "cases.json")))
    }
    let python = Process()
    python.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    let script = References.root.appending(path: "Benchmarks/compare_pillow.py").path
    python.arguments = ["python3", script, "write", folder.path, "--count", "240"]
    python.standardOutput = FileHandle.nullDevice
    python.standardError = FileHandle.nullDevice
    try python.run()
    python.waitUntilExit()
    guard python.terminationStatus == 0 else {
      print("skipped: python3 with Pillow and NumPy is not there")
      return nil
    }
    return (folder, try References.decode([Case].self, folder.appending(path: "cases.json")))
  }

  @Test func everySampleIsPillows() throws {
    try References.withTemporaryFolder { temporary in
      guard let (folder, cases) = try cases(in: temporary) else { return }
      #expect(cases.count >= 200)
      for item in cases {
        let name = "\(item.file) \(item.from) \(item.filter) \(item.to) \(item.crop)"
        let image = try ImageCodec.load(folder.appending(path: item.file).path)
        #expect([image.width, image.height] == item.from && crc32(image.pixels) == item.decoded, "decoding \(name)")
        let resized = image.resized(width: item.to[0], height: item.to[1], item.filter)
        #expect(crc32(resized.pixels) == item.resized, "resizing \(name)")
        let cropped = resized.centerCropped(width: item.crop, height: item.crop)
        #expect(crc32(cropped.pixels) == item.cropped, "cropping \(name)")
        let bytes = ImageBatch.tensor(of: [cropped]).values.flatMap { value in
          (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) }
        }
        #expect(crc32(bytes) == item.tensor, "tensor of \(name)")
      }
    }
  }
}
