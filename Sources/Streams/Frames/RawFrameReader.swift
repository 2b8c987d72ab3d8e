// Raw video frames from a pipe, in batches that do not wait for ever.

public import Engine
import Foundation
import Vision

/// Reads frames of R G B bytes from a file descriptor on a thread of its own.
///
/// A batch closes when it is full or when its first frame is `maxWait` old, whichever comes first, and at the end of the stream. So a slow
/// camera is answered after `maxWait` at the latest; what happens to a fast one is `FrameOverload`'s choice.
public final class RawFrameReader: Sendable {
  private let frames: FrameQueue
  private let wake: WakePipe
  private let batchSize: Int
  private let maxWait: Duration?

  /// Reads frames of the given size; the descriptor stays the caller's to close, after the reader is gone. Without `maxWait` a batch
  /// waits until it is full.
  public init(
    descriptor: Int32, width: Int, height: Int, batchSize: Int, maxWait: Duration?, overload: FrameOverload = .wait
  ) throws(TTAError) {
    guard width > 0, height > 0, width <= 65_536, height <= 65_536 else {
      throw TTAError(
        .usage, "frames of \(width)×\(height) pixels, expected 1...65536 each", hint: "name the size that the writer sends: 640x480")
    }
    guard batchSize > 0 else { throw TTAError(.usage, "batch size \(batchSize), expected 1 or more", hint: "64 is the default") }
    let frames = FrameQueue(capacity: batchSize, dropsOldest: overload == .dropOldest)
    let wake = try WakePipe()
    self.frames = frames
    self.wake = wake
    self.batchSize = batchSize
    self.maxWait = maxWait
    Thread {
      var number = 0
      while let image = Self.read(descriptor, width: width, height: height, number: number, wake: wake, frames: frames) {
        guard frames.put(image, number: number) else { return }
        number += 1
      }
    }.start()
  }

  deinit {
    frames.cancel()
    wake.signal()
  }

  /// The next batch; waits for it. `nil` at the end of the stream.
  public func next() -> FrameBatch? { frames.take(batchSize, maxWait: maxWait) }

  /// One frame; `nil` at the end, which is told to the queue with its reason.
  private static func read(
    _ descriptor: Int32, width: Int, height: Int, number: Int, wake: WakePipe, frames: FrameQueue
  ) -> Image? {
    let size = width * height * 3
    var filled = 0
    var failure: TTAError?
    let image = Image(width: width, height: height) { pixels in
      while filled < size {
        guard wake.waitUntilReadable(descriptor) else { return }
        let count = Foundation.read(descriptor, pixels + filled, size - filled)
        if count > 0 {
          filled += count
        } else if count == 0 {
          if filled > 0 {
            failure = TTAError(
              .invalidData, "frame \(number) is incomplete: expected \(size) bytes (\(width)×\(height) RGB24), got \(filled)",
              hint: "check that the writer sends rgb24 at this size")
          }
          return
        } else if errno != EINTR, errno != EAGAIN {
          failure = TTAError(
            .invalidData, "cannot read frame \(number): \(String(cString: strerror(errno)))",
            hint: "check that the input is open for reading")
          return
        }
      }
    }
    if filled == size { return image }
    frames.finish(failure)
    return nil
  }
}

/// Wakes a thread that waits for a descriptor.
private final class WakePipe: Sendable {
  private let ends: (read: Int32, write: Int32)

  init() throws(TTAError) {
    var pair: [Int32] = [0, 0]
    guard pipe(&pair) == 0 else {
      throw TTAError(.internal, "cannot make a pipe: \(String(cString: strerror(errno)))", hint: "raise the limit of open files")
    }
    ends = (pair[0], pair[1])
  }
  deinit {
    close(ends.read)
    close(ends.write)
  }
  /// Waits; false when the wait was called off.
  func waitUntilReadable(_ descriptor: Int32) -> Bool {
    var waits = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: ends.read, events: Int16(POLLIN), revents: 0)]
    while poll(&waits, 2, -1) < 0, errno == EINTR {}
    return waits[1].revents == 0
  }
  /// Calls all waits off.
  func signal() {
    var byte: UInt8 = 0
    _ = write(ends.write, &byte, 1)
  }
}
