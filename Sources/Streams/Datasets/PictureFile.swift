// A file of many pictures that is read piece by piece.

import Engine
import Foundation
import Vision

/// An open file whose pieces are read when they are asked for, from any thread. A file that becomes shorter meanwhile is an error, not the
/// end of the process, as it would be with mapped memory.
final class PictureFile: Sendable {
  /// Where it is.
  let path: String
  private let descriptor: Int32

  /// Opens a regular file.
  init(path: String) throws(TTAError) {
    self.path = path
    descriptor = try FileBytes.open(path).descriptor
  }
  deinit { close(descriptor) }

  /// Fills memory with the bytes at an offset; `what` is what the error calls them.
  func read(_ count: Int, at offset: Int, into target: UnsafeMutablePointer<UInt8>, _ what: @autoclosure () -> String) throws(TTAError) {
    var filled = 0
    while filled < count {
      let got = pread(descriptor, target + filled, count - filled, off_t(offset + filled))
      if got < 0, errno == EINTR { continue }
      guard got > 0 else {
        let reason = got < 0 ? String(cString: strerror(errno)) : "expected \(count) bytes at \(offset), got \(filled)"
        throw TTAError(
          .invalidData, "cannot read \(what()) of \"\(path)\": \(reason)", hint: "the file changed or its disk failed; copy it again")
      }
      filled += got
    }
  }
}
