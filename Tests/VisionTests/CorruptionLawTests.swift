// Laws of corruptions: their names, their random numbers, and what no picture may break.

import CVision
import Engine
import Foundation
import Synchronization
import Testing
import Vision
import VisionTestSupport

@Suite struct CorruptionNameTests {
  @Test func bothSpellingsAreAccepted() throws {
    for kind in CorruptionKind.all {
      #expect(try CorruptionKind.named(kind.name) == kind)
      #expect(try CorruptionKind.named(kind.fileName) == kind)
      #expect(!kind.name.contains("_") && !kind.fileName.contains("-"))
    }
    #expect(Set(CorruptionKind.all.map(\.id)).count == CorruptionKind.all.count)
    #expect(Set(CorruptionKind.all.map(\.name)).count == CorruptionKind.all.count)
  }

  @Test func anUnknownNameListsTheNearest() {
    let error = errorThrown { try CorruptionKind.named("gausian_noise") }
    #expect(error?.code == .usage)
    #expect(error?.message == "unknown corruption \"gausian_noise\"")
    #expect(error?.hint == "nearest names: gaussian-noise, shot-noise, gaussian-blur")
  }

  @Test func groupsHoldTheirMembers() throws {
    #expect(try CorruptionKind.group("all") == CorruptionKind.all)
    #expect(try CorruptionKind.group("noise").allSatisfy { $0.family == .noise })
    #expect(try CorruptionKind.group("standard") + CorruptionKind.group("extra") == CorruptionKind.all)
    #expect(try CorruptionKind.group("impulse-noise").map(\.name) == ["impulse-noise"])
    #expect(errorThrown { try CorruptionKind.group("standart") }?.hint?.hasPrefix("nearest names: standard") == true)
  }

  @Test func severitiesAreChecked() throws {
    let kind = try CorruptionKind.named("contrast")
    for severity in [-1, 6] {
      let error = errorThrown { try Corruptor(kind, severity: severity, table: .cifar, seed: 0) }
      #expect(error?.message == "severity \(severity) of contrast, expected 0...5 in steps of 0.25")
    }
  }

  @Test func tablesGoBySize() {
    #expect(CorruptionTable.suited(toHeight: 32, width: 32) == .cifar && CorruptionTable.suited(toHeight: 224, width: 224) == .imagenet)
    #expect(CorruptionTable.suited(toHeight: 480, width: 64) == .cifar && CorruptionTable.suited(toHeight: 96, width: 96) == .imagenet)
  }
}

@Suite struct CorruptionLawTests {
  private static let deterministic = [
    "defocus-blur", "zoom-blur", "brightness", "contrast", "pixelate", "jpeg-compression", "gaussian-blur", "saturate",
  ]
  static let sizes = [(32, 32), (224, 224), (1, 1), (2, 3), (17, 64)]

  @Test(arguments: CorruptionKind.all, CorruptionTable.allCases) func everySizeKeepsItsSize(
    _ kind: CorruptionKind, _ table: CorruptionTable
  ) throws {
    for (width, height) in Self.sizes where width < 224 || table == .imagenet {
      for severity in [1, 5] {
        let result = try Corruptor(kind, severity: severity, table: table, seed: 1).apply(
          to: Patterns.noise(width: width, height: height), index: 0)
        #expect(result.width == width && result.height == height)
      }
    }
  }

  /// A picture depends on the seed, the severity and its number only.
  @Test(arguments: CorruptionKind.all) func theSamePictureComesOut(_ kind: CorruptionKind) throws {
    let image = Patterns.reference(side: 32)
    func picture(seed: UInt64, severity: Int, index: UInt64) throws -> Image {
      try Corruptor(kind, severity: severity, table: .cifar, seed: seed).apply(to: image, index: index)
    }
    let first = try picture(seed: 1, severity: 3, index: 7)
    #expect(try picture(seed: 1, severity: 3, index: 7) == first)
    #expect(try picture(seed: 1, severity: 3, index: 7) != picture(seed: 1, severity: 4, index: 7))
    let isRandom = !Self.deterministic.contains(kind.name)
    #expect(try (picture(seed: 2, severity: 3, index: 7) != first) == isRandom)
    #expect(try (picture(seed: 1, severity: 3, index: 8) != first) == isRandom)
  }

  /// Pictures made by several threads, in any order, are those made one after the other.
  @Test(arguments: CorruptionKind.all) func threadsAndOrderChangeNothing(_ kind: CorruptionKind) throws {
    let images = (0..<24).map { Patterns.noise(width: 32 + $0 % 2, height: 32) }
    let corruptor = try Corruptor(kind, severity: 2, table: .cifar, seed: 11)
    let expected = images.indices.map { corruptor.apply(to: images[$0], index: UInt64($0)) }
    let found = Mutex([Int: Image]())
    DispatchQueue.concurrentPerform(iterations: images.count) { number in
      let place = images.count - 1 - number
      let picture = corruptor.apply(to: images[place], index: UInt64(place))
      found.withLock { $0[place] = picture }
    }
    #expect(found.withLock { found in images.indices.allSatisfy { found[$0] == expected[$0] } })
  }

  /// Random pictures are part of published results: a change of these numbers is a change of every stream.
  @Test(arguments: [
    ("gaussian-noise", 3_459_276_989 as UInt32),
    ("shot-noise", 2_719_957_710),
    ("impulse-noise", 3_254_188_757),
    ("defocus-blur", 41_112_324),
    ("glass-blur", 4_123_787_517),
    ("motion-blur", 3_240_286_829),
    ("zoom-blur", 607_462_579),
    ("snow", 3_152_466_694),
    ("frost", 1_798_272_988),
    ("fog", 3_129_792_495),
    ("brightness", 3_609_334_888),
    ("contrast", 2_292_683_332),
    ("elastic-transform", 1_923_235_973),
    ("pixelate", 4_118_508_254),
    ("jpeg-compression", 369_069_171),
    ("speckle-noise", 2_762_287_722),
    ("gaussian-blur", 4_090_261_896),
    ("spatter", 3_225_699_870),
    ("saturate", 3_950_938_706),
  ]) func picturesStayWhatTheyWere(_ name: String, _ expected: UInt32) throws {
    let corruptor = try Corruptor(.named(name), severity: 5, table: .cifar, seed: 1)
    let pixels = (0..<10).flatMap { corruptor.apply(to: Patterns.reference(side: 32), index: $0).pixels }
    #expect(crc32(pixels) == expected)
  }

  /// The strongest severity changes more than the weakest, but where the published parameters say otherwise.
  @Test(arguments: CorruptionKind.all, CorruptionTable.allCases) func severityGrows(_ kind: CorruptionKind, _ table: CorruptionTable) throws
  {
    let image = Patterns.reference(side: table.side)
    let errors = try [1, 5].map { severity in
      let result = try Corruptor(kind, severity: severity, table: table, seed: 3).apply(to: image, index: 0)
      return zip(image.pixels, result.pixels).reduce(0) { $0 + (Int($1.0) - Int($1.1)) * (Int($1.0) - Int($1.1)) }
    }
    let isPublishedOtherwise = ["elastic-transform", "saturate"].contains(kind.name)
    #expect(isPublishedOtherwise || errors[0] < errors[1])
    #expect(errors.allSatisfy { $0 > 0 })
  }
}

/// Draws and loops are the same whatever the instruction set.
@Suite struct VariantTests {
  private static let variants = [CVISION_PORTABLE, CVISION_AVX2, CVISION_AVX512]
  private let words = cvision_words(seed: 1 << 40 + 3, tag: 77, picture: 1 << 33 + 5)

  @Test(arguments: CorruptionKind.all, CorruptionTable.allCases) func variantsAgree(_ kind: CorruptionKind, _ table: CorruptionTable) throws
  {
    defer { cvision_use(CVISION_FASTEST) }
    for severity in [1, 2, 5] {
      let corruptor = try Corruptor(kind, severity: severity, table: table, seed: 3)
      let image = Patterns.reference(side: 61)
      let expected = corruptor.apply(to: image, index: 9)
      for variant in Self.variants where cvision_use(variant) == 1 { #expect(corruptor.apply(to: image, index: 9) == expected) }
    }
  }

  @Test func wordsArePhiloxBlocks() {
    var uniforms = [Float](repeating: 0, count: 1003)
    cvision_uniforms(words, &uniforms, uniforms.count)
    for place in [0, 1, 2, 3, 4, 255, 256, 1002] {
      let block = Philox(seed: words.seed).block(UInt64(words.tag) << 32 | UInt64(place / 4), words.picture)
      #expect(uniforms[place] == Float(block[place % 4] >> 8) * 0x1p-24)
    }
  }

  /// Distribution function of the normal law at each draw gives its word back.
  @Test func normalsAreQuantiles() {
    var normals = [Float](repeating: 0, count: 20_000)
    cvision_normals(words, &normals, normals.count)
    for place in normals.indices {
      let block = Philox(seed: words.seed).block(UInt64(words.tag) << 32 | UInt64(place / 4), words.picture)
      let p = (Double(block[place % 4]) + 0.5) * 0x1p-32
      let z = Double(normals[place])
      let found = z < 0 ? 0.5 * erfc(-z / 2.0.squareRoot()) : 1 - 0.5 * erfc(z / 2.0.squareRoot())
      let density = exp(-z * z / 2) / (2 * Double.pi).squareRoot()
      #expect(abs(found - p) <= density * abs(z) * 1e-7 + 1e-15, "\(p) gave \(z)")
    }
  }

  @Test func drawsHaveTheirMoments() {
    var draws = CorruptionDraws(seed: 9, corruption: 1, severity: 1, picture: 0)
    let normals = draws.normals(200_001).map(Double.init)
    let mean = normals.reduce(0, +) / Double(normals.count)
    let variance = normals.reduce(0) { $0 + $1 * $1 } / Double(normals.count)
    #expect(abs(mean) < 0.012 && abs(variance - 1) < 0.02)
    let uniforms = draws.uniforms(10_001)
    #expect(uniforms.allSatisfy { (0..<1).contains($0) })
    #expect(draws.uniforms(5) != Array(uniforms.prefix(5)))
  }
}
