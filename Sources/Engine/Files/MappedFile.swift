// Files read through the virtual memory.

#if canImport(Glibc)
  import Glibc
#endif

/// A file mapped for reading; the bytes live as long as this object.
public final class MappedFile: @unchecked Sendable {
  /// Where it is.
  public let path: String
  /// All of its bytes.
  public let bytes: UnsafeRawBufferPointer

  /// Maps a file. Throws `missingInput` when it is not there or not readable, `invalidData` for a folder.
  public init(path: String) throws(TTAError) {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw TTAError(.missingInput, "\(path): \(String(cString: strerror(errno)))", hint: "check the path and its permissions")
    }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
      throw TTAError(.invalidData, "\(path): expected a file, got something else", hint: "name a file")
    }
    let size = Int(info.st_size)
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
      throw TTAError(.missingInput, "\(path): \(String(cString: strerror(errno)))", hint: "the file cannot be mapped into memory")
    }
    bytes = UnsafeRawBufferPointer(start: base, count: size)
  }
  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }
}
