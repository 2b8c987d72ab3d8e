// What readers of live pictures have in common.

import Engine
import Foundation
import Vision

/// Pictures of a live stream in batches that do not wait for ever.
///
/// A batch closes when it is full or when its first picture is `maxWait` old, whichever comes first, and at the end of the stream. So a
/// slow camera is answered after `maxWait` at the latest; what happens to a fast one is `FrameOverload`'s choice.
public protocol FrameReader: Sendable {
  /// The next batch; waits for it. `nil` at the end of the stream.
  func next() -> FrameBatch?
  /// Reads no more: what waits comes as the last batches. From any thread.
  func stop()
}

/// Reads pieces on a thread of its own, makes pictures of them and cuts batches. Dropping it ends the thread.
final class FramePump: Sendable {
  /// What became of a piece.
  enum Piece {
    /// A picture, or why there is none; the stream goes on.
    case picture(Result<Image, TTAError>)
    /// The end, with a reason if it is not the proper one.
    case end(TTAError?)
  }
  private let frames: FrameQueue
  private let input: DescriptorReader
  private let batchSize: Int
  private let maxWait: Duration?

  /// Starts reading. `piece` makes the piece of a number.
  init(
    descriptor: Int32, batchSize: Int, maxWait: Duration?, overload: FrameOverload,
    piece: @escaping @Sendable (DescriptorReader, Int) -> Piece
  ) throws(TTAError) {
    guard batchSize > 0 else { throw TTAError(.usage, "batch size \(batchSize), expected 1 or more", hint: "64 is the default") }
    let frames = FrameQueue(capacity: batchSize, dropsOldest: overload == .dropOldest)
    let input = try DescriptorReader(descriptor)
    self.frames = frames
    self.input = input
    self.batchSize = batchSize
    self.maxWait = maxWait
    Thread {
      var number = 0
      while true {
        switch piece(input, number) {
        case .picture(let picture):
          guard frames.put(picture, number: number) else { return }
          number += 1
        case .end(let failure): return frames.finish(failure)
        }
      }
    }.start()
  }

  deinit { stop() }
  /// Ends the thread.
  func stop() {
    frames.cancel()
    input.callOff()
  }

  /// The next batch.
  func next() -> FrameBatch? { frames.take(batchSize, maxWait: maxWait) }
}
