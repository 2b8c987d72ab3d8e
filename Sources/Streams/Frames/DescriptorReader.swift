// Reading whole pieces from a pipe, with a way to call the wait off.

import Engine
import Foundation

/// Reads pieces of known length from a file descriptor that stays its owner's.
final class DescriptorReader: Sendable {
  /// How a piece ended.
  enum Outcome {
    /// All bytes are there.
    case whole
    /// The input ended after that many bytes.
    case ended(Int)
    /// The wait was called off.
    case calledOff
    /// The system says why not.
    case failed(String)
  }
  private let descriptor: Int32
  private let wakeEnds: (read: Int32, write: Int32)

  init(_ descriptor: Int32) throws(TTAError) {
    var pair: [Int32] = [0, 0]
    guard pipe(&pair) == 0 else {
      throw TTAError(.internal, "cannot make a pipe: \(String(cString: strerror(errno)))", hint: "raise the limit of open files")
    }
    self.descriptor = descriptor
    wakeEnds = (pair[0], pair[1])
  }
  deinit {
    close(wakeEnds.read)
    close(wakeEnds.write)
  }

  /// Fills a piece of memory.
  func read(_ count: Int, into target: UnsafeMutablePointer<UInt8>) -> Outcome {
    var filled = 0
    while filled < count {
      guard waitUntilReadable() else { return .calledOff }
      let got = Foundation.read(descriptor, target + filled, count - filled)
      if got > 0 {
        filled += got
      } else if got == 0 {
        return .ended(filled)
      } else if errno != EINTR, errno != EAGAIN {
        return .failed(String(cString: strerror(errno)))
      }
    }
    return .whole
  }

  /// Calls all waits off.
  func callOff() {
    var byte: UInt8 = 0
    _ = write(wakeEnds.write, &byte, 1)
  }

  /// Waits; false when the wait was called off.
  private func waitUntilReadable() -> Bool {
    var waits = [
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: wakeEnds.read, events: Int16(POLLIN), revents: 0),
    ]
    while poll(&waits, 2, -1) < 0, errno == EINTR {}
    return waits[1].revents == 0
  }
}
