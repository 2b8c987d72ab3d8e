// tta corrupt on arrays, folders and bad input.

import Engine
import Foundation
import Streams
import Testing
import Vision

@Suite(.enabled(if: Tool.isBuilt, Comment(rawValue: Tool.missing)))
struct CorruptTests {
  private func write(_ bytes: [UInt8], _ path: String) throws {
    try FileManager.default.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }
  private func files(_ folder: String) -> [String] {
    (FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []).filter {
      var isFolder: ObjCBool = false
      return FileManager.default.fileExists(atPath: "\(folder)/\($0)", isDirectory: &isFolder) && !isFolder.boolValue
    }.sorted()
  }
  private func corrupted(_ place: Int, _ name: String, _ severity: Double, seed: UInt64 = 1) throws -> Image {
    try Corruptor(.named(name), severity: severity, table: .cifar, seed: seed).apply(
      to: ShapesDataset.test.image(at: place), index: UInt64(place))
  }

  /// An array per corruption, a block per severity, labels repeated: as CIFAR-10-C is laid out.
  @Test func arraysHaveABlockPerSeverity() throws {
    let folder = try TemporaryFolder()
    let result = try runTTA([
      "corrupt", "shapes", "--images", "7", "--corruption", "fog,noise", "--severity", "1..3,4.25", "--output", folder.path("out"),
    ])
    #expect(result.code == 0, "\(result.stderr)")
    #expect(
      files(folder.path("out")) == [
        "fog.npy", "gaussian_noise.npy", "impulse_noise.npy", "labels.npy", "shot_noise.npy", "speckle_noise.npy",
      ])
    let fog = try NumpyImages(path: folder.path("out/fog.npy"), labels: folder.path("out/labels.npy"))
    #expect(fog.count == 28)
    for (block, severity) in [1, 2, 3, 4.25].enumerated() {
      for place in 0..<7 {
        #expect(try fog.image(at: block * 7 + place) == corrupted(place, "fog", severity))
        #expect(fog.label(at: block * 7 + place) == ShapesDataset.test.label(at: place))
      }
    }
    #expect(result.errorLines.count == 20)
    #expect(result.errorLines.first == "fog 1  7 of 140 pictures" && result.errorLines[3] == "fog 4.25  28 of 140 pictures")
    #expect(result.stdout.hasPrefix("140 pictures (20 × 7) in "))
  }

  @Test func threadsChangeNothing() throws {
    let folder = try TemporaryFolder()
    for threads in ["1", "3"] {
      let result = try runTTA([
        "corrupt", "shapes", "--images", "50", "--corruption", "all", "--output", folder.path(threads), "--threads", threads, "--seed", "9",
        "--quiet",
      ])
      #expect(result.code == 0 && result.stderr.isEmpty, "\(result.stderr)")
      #expect(result.stdout.hasSuffix("frost is procedural: no published photographs were given (--frost)\n"))
    }
    let names = files(folder.path("1"))
    #expect(names.count == 20 && names == files(folder.path("3")))
    for name in names { #expect(FileManager.default.contentsEqual(atPath: folder.path("1/\(name)"), andPath: folder.path("3/\(name)"))) }
    #expect(try NumpyImages(path: folder.path("1/snow.npy")).image(at: 49) == corrupted(49, "snow", 5, seed: 9))
  }

  @Test func foldersKeepTheirTree() throws {
    let folder = try TemporaryFolder()
    for (place, name) in ["a/0.png", "a/1.JPEG", "b/c/2.jpg"].enumerated() {
      let image = try ShapesDataset.test.image(at: place)
      try write(name.hasSuffix("png") ? ImageCodec.png(image) : ImageCodec.jpeg(image, quality: 95), folder.path("in/\(name)"))
    }
    let png = try runTTA(["corrupt", folder.path("in"), "--corruption", "contrast", "--severity", "2,5", "--output", folder.path("png")])
    #expect(png.code == 0, "\(png.stderr)")
    let tree = ["a/0.png", "a/1.png", "b/c/2.png"]
    #expect(files(folder.path("png")) == tree.map { "contrast/2/\($0)" } + tree.map { "contrast/5/\($0)" })
    let contrast = try Corruptor(.named("contrast"), severity: 5, table: .cifar, seed: 1)
    let original = try ImageCodec.load(folder.path("in/b/c/2.jpg"))
    #expect(try ImageCodec.load(folder.path("png/contrast/5/b/c/2.png")) == contrast.apply(to: original, index: 2))

    let jpeg = try runTTA([
      "corrupt", folder.path("in"), "--corruption", "contrast", "--output", folder.path("jpeg"), "--format", "jpeg", "--json",
    ])
    #expect(jpeg.code == 0, "\(jpeg.stderr)")
    #expect(files(folder.path("jpeg")) == ["contrast/5/a/0.jpg", "contrast/5/a/1.JPEG", "contrast/5/b/c/2.jpg"])
    #expect(jpeg.stdout.contains("\"format\" : \"jpeg\"") && jpeg.stdout.contains("\"jpeg85\" : true"))
    // What is saved as a JPEG is what --jpeg85 gives.
    let through = try runTTA([
      "corrupt", folder.path("in"), "--corruption", "contrast", "--output", folder.path("jpeg85"), "--format", "png", "--jpeg85",
    ])
    #expect(through.code == 0, "\(through.stderr)")
    #expect(
      try ImageCodec.load(folder.path("jpeg85/contrast/5/b/c/2.png")) == ImageCodec.load(folder.path("jpeg/contrast/5/b/c/2.jpg")))
  }

  /// A damaged picture in the middle: the error names it, and no array is left, whole or in parts.
  @Test func aBadPictureLeavesNothing() throws {
    let folder = try TemporaryFolder()
    for place in 0..<5 { try write(ImageCodec.png(ShapesDataset.test.image(at: place)), folder.path("in/\(place).png")) }
    let broken = folder.path("in/3.png")
    try write(Array(ImageCodec.png(ShapesDataset.test.image(at: 3)).prefix(90)), broken)
    let result = try runTTA(["corrupt", folder.path("in"), "--corruption", "fog", "--output", folder.path("out"), "--format", "npy"])
    #expect(result.code == 65)
    #expect(result.errorLines.first?.hasPrefix("error: picture 4 of 5: \"\(broken)\" is a damaged PNG: ") == true, "\(result.stderr)")
    #expect(result.errorLines.last == "hint: copy or download the file again")
    #expect(files(folder.path("out")).isEmpty)

    try write(ImageCodec.png(Image(width: 8, height: 4) { $0.update(repeating: 7, count: 96) }), broken)
    let sizes = try runTTA(["corrupt", folder.path("in"), "--corruption", "fog", "--output", folder.path("out"), "--format", "npy"])
    #expect(sizes.code == 65)
    #expect(
      sizes.errorLines == [
        "error: picture 4 of 5: \"\(broken)\" has 8×4 pixels, expected 32×32 as \"\(folder.path("in/0.png"))\"",
        "hint: an array holds pictures of one size; use --format png or jpeg",
      ])
    #expect(files(folder.path("out")).isEmpty)
  }

  @Test(arguments: [
    (["--severity", "6"], "error: severity 6 of fog, expected 0...5 in steps of 0.25"),
    (["--severity", "1.1"], "error: severity 1.1 of fog, expected 0...5 in steps of 0.25"),
    (["--severity", "5..1"], "error: --severity 5..1: expected numbers from 0 to 5 such as 5, 1,3,5 or 1..5"),
    (["--severity", "x"], "error: --severity x: expected numbers from 0 to 5 such as 5, 1,3,5 or 1..5"),
    (["--images", "0"], "error: --images 0: expected a number from 1 to 10000"),
    (["--threads", "0"], "error: --threads 0: expected a number from 1 to 256"),
    (["--frost", "/no-such-folder"], nil),
  ])
  func usageErrors(_ arguments: [String], _ error: String?) throws {
    let folder = try TemporaryFolder()
    let result = try runTTA(
      ["corrupt", "shapes", "--corruption", "fog", "--output", folder.path("out")] + (error == nil ? ["--images", "1"] : []) + arguments)
    #expect(result.code == (error == nil ? 0 : 64))
    if let error { #expect(result.errorLines.first == Substring(error) && result.errorLines.count == 2, "\(result.stderr)") }
  }

  @Test func otherErrors() throws {
    let folder = try TemporaryFolder()
    let name = try runTTA(["corrupt", "shapes", "--corruption", "fgo", "--output", folder.path("out")])
    #expect(name.code == 64 && name.errorLines.first == "error: unknown corruption \"fgo\"")
    let input = try runTTA(["corrupt", folder.path("none"), "--corruption", "fog", "--output", folder.path("out")])
    #expect(input.code == 66 && input.errorLines.first == "error: \"\(folder.path("none"))\" does not exist")
    let frost = try runTTA([
      "corrupt", "shapes", "--images", "1", "--corruption", "frost", "--output", folder.path("out"), "--frost", folder.path("none"),
    ])
    #expect(frost.code == 66 && frost.errorLines.first == "error: \"\(folder.path("none"))/frost1.png\" does not exist")
    let output = try runTTA(["corrupt", "shapes", "--images", "1", "--corruption", "fog", "--output", "/proc/none"])
    #expect(output.code == 73 && output.errorLines.first == "error: cannot make the folder \"/proc/none\"")
    for same in ["x.png", "x.jpg"] {
      let image = try ShapesDataset.test.image(at: 0)
      try write(same == "x.png" ? ImageCodec.png(image) : ImageCodec.jpeg(image, quality: 90), folder.path("in/\(same)"))
    }
    let twins = try runTTA(["corrupt", folder.path("in"), "--corruption", "fog", "--output", folder.path("out")])
    #expect(twins.code == 64)
    #expect(twins.errorLines == ["error: \"x.png\" and \"x.jpg\" would both become \"x.png\"", "hint: rename one of them"])
  }

  @Test func listShowsGroupsAndParameters() throws {
    let result = try runTTA(["list", "corruptions"])
    #expect(result.code == 0 && result.stdout.split(separator: "\n").count == 21)
    #expect(result.stdout.contains("motion-blur") && result.stdout.contains("(6, 1) (6, 1.5) (6, 2) (8, 2) (9, 2.5)"))
    #expect(try runTTA(["list", "corruptions", "--group", "extra", "--json"]).stdout.contains("\"photons\"") == false)
  }
}
