// A file as memory.

import Engine
import Foundation
import Vision

/// The bytes of a file, read by the system when they are touched, and unmapped with the last reference.
///
/// The file must not become shorter while it is mapped.
final class MappedFile: @unchecked Sendable {
  /// All bytes.
  let bytes: UnsafeRawBufferPointer

  /// Maps a regular file for reading.
  init(path: String) throws(TTAError) {
    let (descriptor, size) = try FileBytes.open(path)
    defer { close(descriptor) }
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), memory != MAP_FAILED else {
      throw TTAError(
        .invalidData, "cannot map \"\(path)\": \(String(cString: strerror(errno)))", hint: "check the disk and the memory limits")
    }
    bytes = UnsafeRawBufferPointer(start: memory, count: size)
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }
}
