// The batches of an adapt run: files, arrays, folders, or pictures on standard input.

import Engine
import Foundation
import Streams
import TTA
import Vision

/// Where batches come from.
final class BatchSource {
  /// One batch.
  struct Item {
    var images: Tensor
    var labels: [Int]
    var names: [String]
    var places: [Int]
    var failures: [ImageFailure]
    /// Whether it is the first of an input that counts as a domain.
    var startsDomain = false
  }
  private enum Kind { case stream(DomainStream, Prefetcher<LabeledBatch>), frames(any FrameReader) }
  private let kind: Kind
  private let preprocessing: Preprocessing
  private let policy: BadImagePolicy
  /// Images of the whole run, where that is known.
  let imageCount: Int?
  /// Frames that were dropped, and why the stream ended otherwise than after a whole frame.
  private(set) var dropped = 0, failure: TTAError?

  init(
    inputs: [String], raw: String?, encoded: Bool, labels: String?, batch: Int, maxWait: Duration?, overload: FrameOverload,
    policy: BadImagePolicy, startsDomainPerInput: Bool, preprocessing: Preprocessing, classes: Int, seen: AdaptationState?
  ) throws {
    (self.preprocessing, self.policy) = (preprocessing, policy)
    guard inputs == ["-"] || raw != nil || encoded else {
      guard !inputs.isEmpty, !inputs.contains("-") else {
        throw TTAError(
          .usage, inputs.isEmpty ? "no input: expected files, folders, .npy arrays or -" : "- (standard input) cannot be mixed with files",
          hint: "for example tta adapt pictures/ --model shapes")
      }
      var options = DomainStream.Options()
      (options.preprocessing, options.onBadImage) = (preprocessing, policy)
      let images = try ImageInputs.open(inputs, labels: labels)
      guard images.count > 0 else {
        throw TTAError(.missingInput, "\(inputs.joined(separator: " ")): no pictures", hint: "give files, folders or arrays with pictures")
      }
      if labels != nil, let place = (0..<images.count).first(where: { (images.label(at: $0) ?? -1) >= classes }) {
        throw TTAError(
          .invalidData, "\(labels ?? ""): label \(images.label(at: place) ?? 0) at place \(place), the model has \(classes) classes",
          hint: "classes are numbered from 0; -1 is an unknown class")
      }
      let places = startsDomainPerInput ? try ImageInputs.ranges(inputs) : [0..<images.count]
      let stream = try DomainStream(
        images, segments: places.map { StreamSegment(domain: .clean, places: Array($0)) }, batchSize: batch, options: options)
      if let seen { try Self.check(seen, batch: batch, stream) }
      let first = seen?.batches ?? 0
      imageCount = max(0, stream.imageCount - first * batch)
      kind = .stream(stream, stream.prefetched(from: first))
      return
    }
    guard seen == nil else {
      throw TTAError(
        .usage, "--resume: frames on standard input cannot be left out", hint: "--state-in alone goes on with the next frame")
    }
    guard inputs.isEmpty || inputs == ["-"] else {
      throw TTAError(
        .usage, "\(encoded ? "--encoded" : "--raw") reads standard input, got also \(inputs.joined(separator: " "))",
        hint: "name - as the only input")
    }
    guard !startsDomainPerInput else {
      throw TTAError(.usage, "strategy reset: each-domain needs files: each input is a domain", hint: "use {every: N} with standard input")
    }
    guard labels == nil else { throw TTAError(.usage, "--labels needs files, not frames on standard input") }
    imageCount = nil
    if encoded {
      guard raw == nil else { throw TTAError(.usage, "--raw and --encoded name two forms of standard input", hint: "choose one") }
      kind = .frames(try EncodedFrameReader(descriptor: STDIN_FILENO, batchSize: batch, maxWait: maxWait, overload: overload))
      return
    }
    guard let raw, let size = Self.size(raw) else {
      throw TTAError(
        .usage, raw.map { "--raw \($0): expected WIDTHxHEIGHT" } ?? "- reads raw frames: expected --raw WIDTHxHEIGHT",
        hint: "for example --raw 640x480; --encoded reads PNG and JPEG")
    }
    kind = .frames(
      try RawFrameReader(
        descriptor: STDIN_FILENO, width: size.width, height: size.height, batchSize: batch, maxWait: maxWait,
        overload: overload))
  }
  /// Refuses a state of other batches or of a longer input.
  private static func check(_ seen: AdaptationState, batch: Int, _ stream: DomainStream) throws {
    let largest = seen.largestBatch
    guard seen.images <= seen.batches * batch, largest <= batch,
      largest == 0 || largest == batch || seen.images < seen.batches * largest || seen.images == stream.imageCount
    else {
      throw TTAError(
        .usage, "--batch \(batch): the state has seen batches of \(largest > 0 ? largest : seen.images / max(1, seen.batches)) images",
        hint: "--resume needs the same --batch")
    }
    guard seen.batches <= stream.count else {
      throw TTAError(
        .usage, "--resume: the state has seen \(seen.batches) batches, the input has \(stream.count)",
        hint: "give the whole input, with what was answered already; without --resume it is taken as new")
    }
  }
  private static func size(_ text: String) -> (width: Int, height: Int)? {
    let parts = text.split(separator: "x").map { Int($0) }
    guard parts.count == 2, let width = parts[0], let height = parts[1], width > 0, height > 0 else { return nil }
    return (width, height)
  }

  /// What ends a wait for frames, from any thread; nothing for files, which do not keep anybody waiting.
  var stop: @Sendable () -> Void {
    guard case .frames(let reader) = kind else { return {} }
    return { reader.stop() }
  }
  /// The next batch; nil at the end.
  func next() throws -> Item? {
    switch kind {
    case .stream(let stream, let batches):
      guard let batch = try batches.next() else { return nil }
      return Item(
        images: batch.images, labels: batch.labels, names: batch.places.map { stream.images.name(at: $0) }, places: batch.places,
        failures: batch.failures, startsDomain: batch.startsDomain)
    case .frames(let reader):
      guard let batch = reader.next() else { return nil }
      dropped = batch.dropped
      failure = batch.failure ?? failure
      if batch.images.isEmpty, batch.damaged.isEmpty { return nil }
      if policy == .stop, let first = batch.damaged.first { throw first.error }
      var (pictures, numbers, failures): ([Image], [Int], [ImageFailure]) = ([], [], batch.damaged)
      for (image, number) in zip(batch.images, batch.numbers) {
        do throws(TTAError) {
          pictures.append(try preprocessing.apply(to: image, name: "frame \(number)"))
          numbers.append(number)
        } catch {
          if policy == .stop { throw error }
          failures.append(ImageFailure(place: number, name: "frame \(number)", error: error))
        }
      }
      return Item(
        images: ImageBatch.tensor(of: pictures), labels: [], names: numbers.map { "frame \($0)" }, places: numbers, failures: failures)
    }
  }
}
