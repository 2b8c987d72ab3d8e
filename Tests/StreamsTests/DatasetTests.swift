// Pictures from files, folders and arrays.

import Engine
import Foundation
import Streams
import Testing
import Vision
import VisionTestSupport

@Suite struct DatasetTests {
  /// A folder of pictures whose level is their place in byte order.
  private func withPictures<R>(_ names: [String], _ body: (URL) throws -> R) throws -> R {
    try References.withTemporaryFolder { folder in
      for (level, name) in names.enumerated() {
        let file = folder.appending(path: name)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(ImageCodec.png(Patterns.flat(level, width: 2, height: 2))).write(to: file)
      }
      return try body(folder)
    }
  }

  @Test func foldersAreSortedByPath() throws {
    let names = ["B/z.PNG", "a/10.png", "a/2.jpg", "a/b/c.jpeg", "top.png"]
    try withPictures(names + [".hidden/x.png", "a/.y.png", "note.txt"]) { folder in
      let files = try ImageFiles.folder(folder.path)
      #expect(files.paths == names.map { "\(folder.path)/\($0)" })
      for index in names.indices { #expect(try files.image(at: index) == Patterns.flat(index, width: 2, height: 2)) }
      #expect(files.labels == nil && files.classNames == nil)
      #expect(errorThrown { try ImageFiles.classFolders(folder.path) }?.message == "\"\(folder.path)/top.png\" is in no class folder")
    }
  }

  @Test func foldersNameClasses() throws {
    try withPictures(["cat/1.png", "cat/2.png", "dog/deep/1.png"]) { folder in
      let files = try ImageFiles.classFolders(folder.path)
      #expect(files.labels == [0, 0, 1] && files.classNames == ["cat", "dog"])
      let known = try ImageFiles.classFolders(folder.path, classNames: ["bird", "dog", "cat"])
      #expect(known.labels == [2, 2, 1])
      let error = errorThrown { try ImageFiles.classFolders(folder.path, classNames: ["bird", "cot", "cat"]) }
      #expect(error?.message == "folder \"\(folder.path)/dog\" is not one of the 3 classes")
      #expect(error?.hint == "nearest names: cot, cat, bird")
    }
  }

  @Test func emptyAndMissingFolders() throws {
    try References.withTemporaryFolder { folder in
      #expect(errorThrown { try ImageFiles.folder(folder.path) }?.message == "\"\(folder.path)\" holds no PNG or JPEG file")
      #expect(errorThrown { try ImageFiles.folder(folder.path + "/no") }?.message == "\"\(folder.path)/no\" does not exist")
    }
  }

  @Test func inputsAreJoinedInOrder() throws {
    try withPictures(["a.png", "b/1.png", "b/2.png", "c.png"]) { folder in
      let array = folder.appending(path: "d.npy").path
      var writer = try NumpyWriter(path: array, type: .uint8, rowShape: [2, 2, 3])
      for level in 4..<6 { try writer.append(Patterns.flat(level, width: 2, height: 2)) }
      try writer.close()
      let labels = folder.appending(path: "labels.npy").path
      var labelWriter = try NumpyWriter(path: labels, type: .uint8, rowShape: [])
      for label in 10..<16 { try labelWriter.append(label: label) }
      try labelWriter.close()
      let paths = ["a.png", "b", "c.png", "d.npy"].map { "\(folder.path)/\($0)" }
      let all = try ImageInputs.open(paths, labels: labels)
      #expect(all.count == 6 && all.labels == [10, 11, 12, 13, 14, 15])
      for index in 0..<6 { #expect(try all.image(at: index) == Patterns.flat(index, width: 2, height: 2)) }
      #expect(all.name(at: 2) == "\(folder.path)/b/2.png" && all.name(at: 5) == "\(array)[1]")
      #expect(errorThrown { try ImageInputs.open([paths[0]], labels: labels) }?.message == "6 labels for 1 pictures")
      #expect(errorThrown { try ImageInputs.open([paths[0] + "x"]) }?.message == "\"\(paths[0])x\" does not exist")
    }
  }

  @Test func rangesKeepIdentities() throws {
    let part = try ImageRange(ShapesDataset.validation, 10..<20)
    #expect(part.count == 10 && part.identity(at: 3) == 100_013 && part.name(at: 3) == "shapes 100013")
    #expect(try part.image(at: 3) == ShapesDataset.validation.render(13))
    #expect(
      errorThrown { try ImageRange(ShapesDataset.test, 0..<10_001) }?.message == "pictures 0..<10001, the data set has 10000")
  }
}
