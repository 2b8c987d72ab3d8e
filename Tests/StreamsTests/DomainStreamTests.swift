// Batches of a stream: their order, their contents, and what a bad picture does.

import Engine
import Foundation
import Streams
import Testing
import Vision
import VisionTestSupport

/// Pictures whose level is their place; chosen ones cannot be read.
private struct Levels: LabeledImages {
  var count: Int
  var bad: Set<Int> = []
  var labeled = true
  func image(at index: Int) throws(TTAError) -> Image {
    if bad.contains(index) { throw TTAError(.invalidData, "\"\(name(at: index))\" is a damaged PNG: made so") }
    return Patterns.flat(index, width: 4, height: 4)
  }
  func label(at index: Int) -> Int? { labeled ? index % 3 : nil }
  func name(at index: Int) -> String { "level \(index)" }
}

@Suite struct DomainStreamTests {
  private let domains: [Domain] = [Domain("gaussian-noise", severity: 5), Domain("contrast", severity: 2), .clean]

  /// Frost without the photographs is called procedural wherever a domain is shown; a folder without them is an error.
  @Test func frostSaysWhatItIsMadeOf() throws {
    let frost = Domain("frost", severity: 3)
    var options = DomainStream.Options()
    let stream = try DomainStream(Levels(count: 1), domains: [frost, .clean], batchSize: 1, options: options)
    #expect(stream.segments.map(\.domain.description) == ["frost (procedural) 3", "clean"])
    #expect(stream.segments.map(\.domain.label) == ["frost (procedural)", "clean"])
    #expect(Domain("fog", severity: 1).label == "fog")
    options.frostDirectory = "/no-such-folder"
    let error = errorThrown { try DomainStream(Levels(count: 1), domains: [frost], batchSize: 1, options: options) }
    #expect(error?.code == .missingInput && error?.message == "\"/no-such-folder/frost1.png\" does not exist")
    var photographed = frost
    photographed.hasFrostPhotographs = true
    #expect(photographed.description == "frost 3")
  }

  @Test func batchesFollowTheDomains() throws {
    let stream = try DomainStream(Levels(count: 7), domains: domains, batchSize: 3)
    #expect(stream.count == 9 && stream.imageCount == 21)
    let batches = try (0..<9).map { try stream.batch(at: $0) }
    #expect(batches.map(\.index) == Array(0..<9))
    #expect(batches.map(\.domainIndex) == [0, 0, 0, 1, 1, 1, 2, 2, 2])
    #expect(batches.map(\.startsDomain) == [true, false, false, true, false, false, true, false, false])
    #expect(batches.map(\.count) == [3, 3, 1, 3, 3, 1, 3, 3, 1])
    #expect(batches[4].places == [3, 4, 5] && batches[4].labels == [0, 1, 2] && batches[4].domain == domains[1])
    #expect(batches[8].images.shape == [1, 3, 4, 4] && batches[8].images.values.allSatisfy { $0 == Float(6) / 255 })
    #expect(domains.map(\.description) == ["gaussian-noise 5", "contrast 2", "clean"])
  }

  /// A picture of a stream does not depend on the batch size, on the order or on its neighbours.
  @Test func batchSizesDoNotChangePictures() throws {
    let shapes = ShapesDataset(0..<12)
    let whole = try DomainStream(shapes, domains: domains, batchSize: 12)
    let parts = try DomainStream(shapes, domains: domains, batchSize: 5)
    let turned = try DomainStream(
      shapes, segments: [.init(domain: domains[0], places: Array((0..<12).reversed()))], batchSize: 4)
    for domain in 0..<3 {
      let all = try whole.batch(at: domain).images.values
      #expect(try (0..<3).flatMap { try parts.batch(at: domain * 3 + $0).images.values } == all)
    }
    let last = try turned.batch(at: 0).images
    #expect(try last[[3]] == whole.batch(at: 0).images[[8]])
  }

  @Test func seedsChangeRandomDomainsOnly() throws {
    var options = DomainStream.Options()
    let first = try DomainStream(ShapesDataset(0..<4), domains: domains, batchSize: 4, options: options)
    options.seed = 2
    let second = try DomainStream(ShapesDataset(0..<4), domains: domains, batchSize: 4, options: options)
    #expect(try (0..<3).map { try first.batch(at: $0).images == second.batch(at: $0).images } == [false, true, true])
  }

  @Test func badPicturesAreSkippedAndReported() throws {
    let levels = Levels(count: 6, bad: [1, 4, 5])
    let stream = try DomainStream(levels, domains: [.clean], batchSize: 2)
    let batches = try (0..<3).map { try stream.batch(at: $0) }
    #expect(batches.map(\.places) == [[0], [2, 3], []])
    #expect(batches[2].images.shape[0] == 0 && batches[2].labels == [])
    #expect(batches.flatMap(\.failures).map(\.place) == [1, 4, 5])
    #expect(batches[0].failures[0].name == "level 1" && batches[0].failures[0].error.message == "\"level 1\" is a damaged PNG: made so")
    var options = DomainStream.Options()
    options.onBadImage = .stop
    let strict = try DomainStream(levels, domains: [.clean], batchSize: 2, options: options)
    #expect(errorThrown { try strict.batch(at: 0) }?.message == "\"level 1\" is a damaged PNG: made so")
  }

  @Test func picturesOfOtherSizesAreReported() throws {
    let mixed = ConcatenatedImages([Levels(count: 1), ShapesDataset(0..<1)])
    let batch = try DomainStream(mixed, domains: [.clean], batchSize: 2).batch(at: 0)
    #expect(batch.failures.map(\.error.message) == ["\"shapes 0\" has 32×32 pixels, the first picture of its batch 4×4"])
    var options = DomainStream.Options()
    options.preprocessing = Preprocessing(resize: .exact(height: 8, width: 8), inputHeight: 8, inputWidth: 8)
    #expect(try DomainStream(mixed, domains: [.clean], batchSize: 2, options: options).batch(at: 0).images.shape == [2, 3, 8, 8])
  }

  @Test func corruptionsComeAfterOrBeforeResizing() throws {
    var options = DomainStream.Options()
    options.preprocessing = Preprocessing(resize: .shortSide(64), inputHeight: 64, inputWidth: 64)
    let noise = Domain("gaussian_noise", severity: 5)
    let corruptor = try Corruptor(.named("gaussian-noise"), severity: 5, table: .cifar, seed: 1)
    let picture = ShapesDataset.test.render(0)
    func batch() throws -> Image {
      try ImageBatch.image(0, of: DomainStream(ShapesDataset(0..<1), domains: [noise], batchSize: 1, options: options).batch(at: 0).images)
    }
    #expect(try batch() == corruptor.apply(to: picture.resized(width: 64, height: 64, .bilinear), index: 0))
    options.corruptsOriginals = true
    #expect(try batch() == corruptor.apply(to: picture, index: 0).resized(width: 64, height: 64, .bilinear))
    options.preprocessing = nil
    options.jpeg85 = true
    let compressed = try ImageCodec.decode(ImageCodec.jpeg(corruptor.apply(to: picture, index: 0), quality: 85), name: "made")
    #expect(try batch() == compressed)
  }

  /// Two corruptions in sequence: the second sees what the first left, in 8 bits; severity 0 does nothing.
  @Test func corruptionsInSequence() throws {
    let (contrast, noise) = (Domain.Step("contrast", severity: 2), Domain.Step("impulse-noise", severity: 3))
    let nothing = Domain.Step("gaussian-noise", severity: 0)
    func picture(_ steps: [Domain.Step]) throws -> Image {
      let segment = StreamSegment(domain: Domain(name: nil, steps: steps), places: [5])
      return try ImageBatch.image(0, of: DomainStream(ShapesDataset(0..<9), segments: [segment], batchSize: 1).batch(at: 0).images)
    }
    let first = try Corruptor(.named("contrast"), severity: 2, table: .cifar, seed: 1)
    let second = try Corruptor(.named("impulse-noise"), severity: 3, table: .cifar, seed: 1)
    let original = ShapesDataset(0..<9).render(5)
    #expect(try picture([contrast, noise]) == second.apply(to: first.apply(to: original, index: 5), index: 5))
    #expect(try picture([noise, contrast]) == first.apply(to: second.apply(to: original, index: 5), index: 5))
    #expect(try picture([nothing]) == original)
    #expect(try picture([nothing, noise]) == second.apply(to: original, index: 5))
  }

  /// A plan of fading corruptions becomes pictures under both, at fractional severities.
  @Test func continuouslyChangingPictures() throws {
    let shapes = ShapesDataset(0..<60)
    let plan = try StreamPlan(Small.ccc(speed: 20, length: 400), for: StreamContents(shapes, domains: [.clean]), seed: 2)
    let stream = try DomainStream(shapes, plan: plan, batchSize: 64)
    let batch = try stream.batch(at: 1)
    let position = try #require(batch.domains.firstIndex { $0.steps.count == 2 && $0.steps[0].severity != $0.steps[0].severity.rounded() })
    var expected = shapes.render(batch.places[position])
    for step in batch.domains[position].steps {
      let corruptor = try Corruptor(.named(step.corruption), severity: step.severity, table: .cifar, seed: 1)
      expected = corruptor.apply(to: expected, index: UInt64(batch.places[position]))
    }
    #expect(ImageBatch.image(position, of: batch.images) == expected)
  }

  @Test func impossibleStreamsAreRefused() {
    #expect(
      errorThrown { try DomainStream(Levels(count: 1), domains: [.clean], batchSize: 0) }?.message == "batch size 0, expected 1 or more")
    #expect(
      errorThrown { try DomainStream(Levels(count: 1), domains: [Domain("fgo", severity: 1)], batchSize: 1) }?.message
        == "unknown corruption \"fgo\"")
    #expect(
      errorThrown { try DomainStream(Levels(count: 1), domains: [Domain("contrast", severity: 9)], batchSize: 1) }?.message
        == "severity 9 of contrast, expected 0...5 in steps of 0.25")
  }

  @Test func unlabeledPicturesHaveNoLabels() throws {
    #expect(try DomainStream(Levels(count: 2, labeled: false), domains: [.clean], batchSize: 2).batch(at: 0).labels == [])
  }
}
