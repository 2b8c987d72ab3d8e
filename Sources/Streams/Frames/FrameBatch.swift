// Frames of a live stream that are answered together.

public import Engine
public import Vision

/// Frames of a live stream that are answered together.
public struct FrameBatch: Sendable {
  /// The frames.
  public var images: [Image]
  /// Number of each frame in the stream; dropped frames have numbers, too.
  public var numbers: [Int]
  /// Frames that could not be decoded.
  public var damaged: [ImageFailure] = []
  /// Frames dropped so far in the whole stream.
  public var dropped: Int
  /// Why the stream ended, if it did not end after a whole frame; only in the last batch, which may have no frames.
  public var failure: TTAError?
}

/// What happens while frames come faster than they are answered.
public enum FrameOverload: String, Codable, Sendable, CaseIterable {
  /// The writer waits: no frame is lost, and the frames in flight are at most two batches and the pipe.
  case wait
  /// The oldest waiting frames are dropped, so that answers stay at most one batch behind the present.
  case dropOldest = "drop-oldest"
}
