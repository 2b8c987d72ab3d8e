// Raw video frames from a pipe.

public import Engine
import Vision

/// Reads frames of R G B bytes from a file descriptor on a thread of its own.
public final class RawFrameReader: FrameReader {
  private let pump: FramePump

  /// Reads frames of the given size; the descriptor stays the caller's to close, after the reader is gone. Without `maxWait` a batch
  /// waits until it is full.
  public init(
    descriptor: Int32, width: Int, height: Int, batchSize: Int, maxWait: Duration?, overload: FrameOverload = .wait
  ) throws(TTAError) {
    guard width > 0, height > 0, width <= 65_536, height <= 65_536 else {
      throw TTAError(
        .usage, "frames of \(width)×\(height) pixels, expected 1...65536 each", hint: "name the size that the writer sends: 640x480")
    }
    pump = try FramePump(descriptor: descriptor, batchSize: batchSize, maxWait: maxWait, overload: overload) { input, number in
      Self.frame(from: input, width: width, height: height, number: number)
    }
  }

  /// The next batch; waits for it. `nil` at the end of the stream.
  public func next() -> FrameBatch? { pump.next() }
  /// Reads no more.
  public func stop() { pump.stop() }

  private static func frame(from input: DescriptorReader, width: Int, height: Int, number: Int) -> FramePump.Piece {
    let size = width * height * 3
    var outcome = DescriptorReader.Outcome.calledOff
    let image = Image(width: width, height: height) { outcome = input.read(size, into: $0) }
    switch outcome {
    case .whole: return .picture(.success(image))
    case .calledOff, .ended(0): return .end(nil)
    case .ended(let filled):
      return .end(
        TTAError(
          .invalidData, "frame \(number) is incomplete: expected \(size) bytes (\(width)×\(height) RGB24), got \(filled)",
          hint: "check that the writer sends rgb24 at this size"))
    case .failed(let reason):
      return .end(
        TTAError(.invalidData, "cannot read frame \(number): \(reason)", hint: "check that the input is open for reading"))
    }
  }
}
