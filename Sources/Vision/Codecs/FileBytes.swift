// Reading a whole file with an error that names it.

package import Engine
import Foundation

/// The bytes of files.
package enum FileBytes {
  /// All bytes of a regular file of at most `limit` bytes.
  package static func read(_ path: String, limit: Int) throws(TTAError) -> [UInt8] {
    let (descriptor, size) = try open(path)
    defer { close(descriptor) }
    guard size <= limit else {
      throw TTAError(
        .invalidData, "\"\(path)\" has \(size) bytes, at most \(limit) are allowed", hint: "raise the limit if the file can be trusted")
    }
    var bytes = [UInt8](repeating: 0, count: size)
    var filled = 0
    while filled < size {
      let count = bytes.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress?.advanced(by: filled), size - filled) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        let reason = count < 0 ? String(cString: strerror(errno)) : "it became shorter while it was read"
        throw TTAError(.invalidData, "cannot read \"\(path)\": \(reason)", hint: "check the disk and try again")
      }
      filled += count
    }
    return bytes
  }

  /// A descriptor of a regular file and its length; the caller closes it.
  package static func open(_ path: String) throws(TTAError) -> (descriptor: Int32, size: Int) {
    let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT { throw TTAError(.missingInput, "\"\(path)\" does not exist", hint: "check the path") }
      throw TTAError(.missingInput, "cannot open \"\(path)\": \(String(cString: strerror(errno)))", hint: "check its permissions")
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw TTAError(.missingInput, "\"\(path)\" is not a file", hint: "name a regular file; folders and pipes are read by other options")
    }
    return (descriptor, Int(status.st_size))
  }
}
