// PNG and JPEG pictures from a pipe, each after its length.

public import Engine
public import Vision

/// Reads pictures from a file descriptor on a thread of its own: for each its length as four bytes, the highest first, then a PNG or JPEG
/// file of that length.
///
/// A damaged picture is reported in its batch and the stream goes on, since the next length is still found. A length of 0 or beyond the limit
/// ends the stream: what follows cannot be trusted, and no memory is spent on it.
public final class EncodedFrameReader: FrameReader {
  private let pump: FramePump

  /// Reads pictures within the limits; the descriptor stays the caller's to close, after the reader is gone. Without `maxWait` a batch
  /// waits until it is full.
  public init(
    descriptor: Int32, batchSize: Int, maxWait: Duration?, overload: FrameOverload = .wait, limits: ImageLimits = .standard
  ) throws(TTAError) {
    pump = try FramePump(descriptor: descriptor, batchSize: batchSize, maxWait: maxWait, overload: overload) { input, number in
      Self.picture(from: input, number: number, limits: limits)
    }
  }

  /// The next batch; waits for it. `nil` at the end of the stream.
  public func next() -> FrameBatch? { pump.next() }
  /// Reads no more.
  public func stop() { pump.stop() }

  private static func picture(from input: DescriptorReader, number: Int, limits: ImageLimits) -> FramePump.Piece {
    var prefix = [UInt8]()
    if let end = end(fill(&prefix, 4, input), of: number, expected: "4 bytes of length", isStart: true) { return end }
    let length = prefix.reduce(0) { $0 << 8 | Int($1) }
    guard length > 0, length <= limits.maxFileBytes else {
      return .end(
        TTAError(
          .invalidData, "picture \(number) has a length of \(length) bytes, expected 1...\(limits.maxFileBytes)",
          hint: "send for each picture its length as 4 bytes, the highest first, then the PNG or JPEG"))
    }
    var bytes = [UInt8]()
    if let end = end(fill(&bytes, length, input), of: number, expected: "\(length) bytes", isStart: false) { return end }
    return .picture(Result { () throws(TTAError) in try ImageCodec.decode(bytes, name: "picture \(number)", limits: limits) })
  }

  /// Memory grows with what arrives, not with what is promised.
  private static let chunk = 1 << 20

  private static func fill(_ bytes: inout [UInt8], _ count: Int, _ input: DescriptorReader) -> DescriptorReader.Outcome {
    while bytes.count < count {
      let start = bytes.count
      bytes.append(contentsOf: repeatElement(0, count: min(chunk, count - start)))
      let outcome = bytes.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.map { input.read(buffer.count - start, into: $0 + start) } ?? .whole
      }
      switch outcome {
      case .whole: continue
      case .ended(let filled): return .ended(start + filled)
      case .calledOff, .failed: return outcome
      }
    }
    return .whole
  }

  /// The end of the stream, where a piece was not whole.
  private static func end(
    _ outcome: DescriptorReader.Outcome, of number: Int, expected: String, isStart: Bool
  ) -> FramePump.Piece? {
    switch outcome {
    case .whole: return nil
    case .calledOff: return .end(nil)
    case .ended(0) where isStart: return .end(nil)
    case .ended(let filled):
      return .end(
        TTAError(
          .invalidData, "picture \(number) is incomplete: expected \(expected), got \(filled)",
          hint: "check that the writer was not cut off"))
    case .failed(let reason):
      return .end(
        TTAError(.invalidData, "cannot read picture \(number): \(reason)", hint: "check that the input is open for reading"))
    }
  }
}
