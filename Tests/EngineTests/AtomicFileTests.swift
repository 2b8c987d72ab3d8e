// Files that are there whole or not at all.

import Engine
import Foundation
import Testing

@Suite struct AtomicFileTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tta-atomic-\(UUID().uuidString)")
  private func path(_ name: String) throws -> String {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder.appendingPathComponent(name).path
  }

  @Test func theOldFileStaysUntilTheNewOneIsWhole() throws {
    let path = try path("file")
    defer { try? FileManager.default.removeItem(at: folder) }
    try AtomicFile.write("old", to: path)
    do {
      var file = try AtomicFile(path: path)
      try file.write("new")
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["file"])
    try AtomicFile.write("new", to: path)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "new")
  }
  /// `--output /dev/null` must not put a file in the device's place.
  @Test func whatIsNoFileIsWrittenToAsItIs() throws {
    let path = try path("pipe")
    defer { try? FileManager.default.removeItem(at: folder) }
    #expect(mkfifo(path, 0o600) == 0)
    let reader = open(path, O_RDONLY | O_NONBLOCK)
    defer { close(reader) }
    try AtomicFile.write("through", to: path)
    var info = stat()
    #expect(stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFIFO)
    var bytes = [UInt8](repeating: 0, count: 16)
    #expect(read(reader, &bytes, bytes.count) == 7 && String(decoding: bytes.prefix(7), as: UTF8.self) == "through")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["pipe"])
  }
  @Test func foldersThatAreNotThere() {
    #expect(throws: TTAError.self) { try AtomicFile.write("", to: "/no/such/folder/file") }
  }
}
