// Files that are there whole or not at all.

#if canImport(Glibc)
  import Glibc
#endif

/// Writes a file beside its final place and renames it when it is complete and on the disk: readers see the old file or the new one. What is no file
/// (`/dev/null`, a pipe) is written to as it is, and a symbolic link stays one.
public struct AtomicFile: ~Copyable {
  private let path: String
  /// Where the file is, behind links.
  private let place: String
  /// The file beside it; nil where bytes go to a device or a pipe.
  private let temporary: String?
  private var descriptor: Int32

  /// Begins a file. Throws `cannotWrite` where the folder does not exist or allows nothing.
  public init(path: String) throws(TTAError) {
    (self.path, place) = (path, Self.place(of: path))
    if Self.isDevice(path) {
      temporary = nil
      descriptor = open(path, O_WRONLY | O_CLOEXEC)
    } else {
      let beside = place + ".\(getpid()).tmp"
      temporary = beside
      descriptor = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    }
    guard descriptor >= 0 else { throw Self.failure(path) }
  }
  /// Where the bytes of a path lie, behind symbolic links.
  package static func place(of path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }
  /// True for what is there and no file: a device, a pipe, a folder.
  package static func isDevice(_ path: String) -> Bool {
    var info = stat()
    return stat(path, &info) == 0 && info.st_mode & S_IFMT != S_IFREG
  }
  private static func failure(_ path: String) -> TTAError {
    TTAError(.cannotWrite, "\(path): \(String(cString: strerror(errno)))", hint: "check that the folder exists, is writable and has space")
  }
  /// Appends bytes.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(TTAError) {
    var done = 0
    while done < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Self.failure(path) }
      done += count
    }
  }
  /// Appends text.
  public mutating func write(_ text: String) throws(TTAError) {
    let bytes = Array(text.utf8)
    var failure: TTAError?
    bytes.withUnsafeBytes { buffer in
      do throws(TTAError) { try write(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }
  /// Puts the file in its place, by default once it is on the disk.
  public consuming func commit(synced waits: Bool = true) throws(TTAError) {
    let synced = !waits || temporary == nil || fsync(descriptor) == 0
    let closed = close(descriptor) == 0
    descriptor = -1
    guard synced, closed, temporary.map({ rename($0, place) == 0 }) ?? true else { throw Self.failure(path) }
  }
  /// A file that was not committed leaves nothing behind.
  deinit {
    if descriptor >= 0 {
      close(descriptor)
      if let temporary { unlink(temporary) }
    }
  }

  /// Writes a whole text.
  public static func write(_ text: String, to path: String) throws(TTAError) {
    var file = try AtomicFile(path: path)
    try file.write(text)
    try file.commit()
  }

  /// Writes all bytes of one of many files: whole or not there, but a crash of the machine may lose it.
  package static func write(_ bytes: [UInt8], to path: String) throws(TTAError) {
    var file = try AtomicFile(path: path)
    var failure: TTAError?
    bytes.withUnsafeBytes { buffer in
      do throws(TTAError) { try file.write(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
    try file.commit(synced: false)
  }
}
