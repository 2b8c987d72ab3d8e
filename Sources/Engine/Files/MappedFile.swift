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

  /// Maps a regular file, which must not become shorter while it is mapped. Throws `missingInput` when it is not there, not readable or not a
  /// regular file; never waits, not even for a pipe.
  public init(path: String) throws(TTAError) {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT { throw TTAError(.missingInput, "\"\(path)\" does not exist", hint: "check the path") }
      throw TTAError(.missingInput, "cannot open \"\(path)\": \(String(cString: strerror(errno)))", hint: "check its permissions")
    }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
      throw TTAError(.missingInput, "\"\(path)\" is not a file", hint: "name a regular file")
    }
    let size = Int(info.st_size)
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
      throw TTAError(
        .invalidData, "cannot map \"\(path)\": \(String(cString: strerror(errno)))", hint: "check the disk and the memory limits")
    }
    bytes = UnsafeRawBufferPointer(start: base, count: size)
  }
  /// All of its bytes as UTF-8 text. Throws `invalidData` for bytes that are not.
  public func text() throws(TTAError) -> String {
    defer { withExtendedLifetime(self) {} }
    guard let text = String(validating: bytes.bindMemory(to: UInt8.self), as: UTF8.self) else {
      throw TTAError(.invalidData, "\"\(path)\": expected text, got bytes that are not UTF-8", hint: "save the file as UTF-8")
    }
    return text
  }
  /// The pages that lie wholly within a part of the bytes.
  package func pages(within part: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer {
    let page = Int(sysconf(Int32(_SC_PAGESIZE))), start = UInt(bitPattern: part.baseAddress)
    let first = (Int(bitPattern: start) + page - 1) / page * page, end = (Int(bitPattern: start) + part.count) / page * page
    return UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: first), count: max(0, end - first))
  }
  /// Gives back the memory of the pages within a part of the bytes: they are read from the file again when somebody needs them.
  package func giveBack(_ part: UnsafeRawBufferPointer) {
    let pages = pages(within: part)
    if !pages.isEmpty { madvise(pages.baseAddress, pages.count, MADV_DONTNEED) }
  }
  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }
}
