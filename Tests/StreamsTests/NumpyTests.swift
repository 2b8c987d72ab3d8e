// Reading arrays without trusting them, and writing what NumPy reads.

import Engine
import Foundation
import Streams
import Testing
import VisionTestSupport

private let folder = References.goldens.appending(path: "numpy")
private func path(_ name: String) -> String { folder.appending(path: name).path }

@Suite struct NumpyReadingTests {
  @Test(arguments: ["uint8", "int32", "uint32", "int64"]) func labelsOfEveryType(_ type: String) throws {
    let array = try NumpyArray(path: path("labels-\(type).npy"))
    #expect(array.type.name == type && array.shape == [4])
    #expect(try array.labels() == [3, 0, 200, 7])
  }

  @Test func pictures() throws {
    let images = try NumpyImages(path: path("pictures.npy"))
    #expect(images.count == 2 && images.width == 4 && images.height == 3)
    #expect(try images.image(at: 0) == Patterns.noise(width: 4, height: 3))
    #expect(images.name(at: 1) == "\(path("pictures.npy"))[1]")
    #expect(images.labels == nil)
  }

  @Test func numbers() throws {
    let tensor = try NumpyArray(path: path("scores.npy")).tensor()
    #expect(tensor.shape == [2, 3] && tensor.values == [0.5, -1.25, 3e-3, 1e30, -0.0, 7])
  }

  @Test func otherVersionsAndShapes() throws {
    #expect(try NumpyArray(path: path("version2.npy")).labels() == [0, 1, 2, 3, 4])
    let scalar = try NumpyArray(path: path("no-axes.npy"))
    #expect(scalar.shape == [] && scalar.count == 1 && scalar.description == "one int64")
  }

  @Test func foreignArraysAreNamed() {
    func message(_ name: String) -> String? {
      errorThrown { try NumpyArray(path: path(name)) }?.message.replacing(folder.path + "/", with: "")
    }
    let known = "uint8 (|u1), int32 (<i4), uint32 (<u4), int64 (<i8), float32 (<f4)"
    #expect(message("fortran.npy") == "\"fortran.npy\" is in Fortran order, expected C order")
    #expect(message("float64.npy") == "\"float64.npy\" holds elements of type \"<f8\", expected one of \(known)")
    #expect(message("big-endian.npy") == "\"big-endian.npy\" holds elements of type \">i4\", expected one of \(known)")
    #expect(message("none.npy") == "\"none.npy\" does not exist")
  }

  @Test func theWrongArrayIsNamed() throws {
    let scores = try NumpyArray(bytes: made("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24), name: "s.npy")
    #expect(
      errorThrown { try scores.labels() }?.message == "\"s.npy\" is 2×3 float32, expected labels: one axis of uint8, int32, uint32 or int64"
    )
    #expect(errorThrown { try NumpyImages(scores) }?.message == "\"s.npy\" is 2×3 float32, expected pictures: N×height×width×3 uint8")
    let planar = try NumpyArray(bytes: made("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3, 2, 2), }", 12), name: "p.npy")
    #expect(errorThrown { try NumpyImages(planar) }?.hint == "channels come last: array.transpose(0, 2, 3, 1)")
    #expect(errorThrown { try planar.tensor() }?.message == "\"p.npy\" is 1×3×2×2 uint8, expected float32")
    #expect(
      errorThrown { try NumpyImages(path: path("pictures.npy"), labels: path("labels-int64.npy")) }?.message
        == "4 labels for the 2 pictures of \"\(path("pictures.npy"))\"")
    let negative = try NumpyArray(bytes: made("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }", 4, filler: 0xF0), name: "l.npy")
    #expect(errorThrown { try negative.labels() }?.message == "\"l.npy\": label -252645136 at place 0, expected -1 or more")
  }
}

/// A version 1 file with the given header text and `count` bytes of data.
private func made(_ header: String, _ count: Int, filler: UInt8 = 0) -> [UInt8] {
  let size = header.utf8.count
  return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(size & 255), UInt8(size >> 8)] + Array(header.utf8)
    + [UInt8](repeating: filler, count: count)
}

@Suite struct HostileNumpyTests {
  private func message(_ bytes: [UInt8]) -> String? { errorThrown { try NumpyArray(bytes: bytes, name: "x.npy") }?.message }
  private func message(header: String, _ count: Int = 0) -> String? { message(made(header, count)) }

  @Test func thePrefix() {
    #expect(message([]) == "\"x.npy\" is not a NumPy array: it is empty, expected 93 4E 55 4D 50 59")
    #expect(message(Array("PK-zip".utf8)) == "\"x.npy\" is not a NumPy array: it starts with 50 4B 2D 7A 69 70, expected 93 4E 55 4D 50 59")
    let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
    #expect(message(magic + [1]) == "\"x.npy\" is truncated: expected a header of at least 10 bytes, got 7")
    #expect(message(magic + [9, 0, 0, 0]) == "\"x.npy\" has NumPy format 9.0, expected 1.0, 2.0 or 3.0")
    #expect(message(magic + [2, 0, 0, 0]) == "\"x.npy\" is truncated: expected a header of at least 12 bytes, got 10")
    #expect(message(magic + [1, 0, 118, 0]) == "\"x.npy\" is truncated: expected a header of 128 bytes, got 10")
    #expect(message(magic + [2, 0, 255, 255, 255, 255]) == "\"x.npy\" has a header of 4294967295 bytes, at most 65536 are allowed")
  }

  @Test func theDictionary() {
    func damage(_ header: String) -> String? {
      message(header: header)?.replacing("\"x.npy\" has a damaged NumPy header: ", with: "")
    }
    let rest = "'fortran_order': False, 'shape': (1,), }"
    #expect(damage("") == "no '{' at place 0")
    #expect(damage("{}") == "no 'descr'")
    #expect(damage("{'descr': '|u1'}") == "no 'fortran_order'")
    #expect(damage("{'descr': '|u1', 'fortran_order': True}") == "no 'shape'")
    #expect(damage("{'descr': '|u1', 'descr': '|u1', \(rest)") == "an unexpected entry 'descr'")
    #expect(damage("{'evil': '|u1', \(rest)") == "an unexpected entry 'evil'")
    #expect(damage("{'descr': [('a', '|u1')], \(rest)") == "no text at place 10")
    #expect(damage("{'descr': '|u1, ") == "a text without end")
    #expect(damage("{'descr': '\u{1}', \(rest)") == "a text with a byte that is not printable")
    #expect(damage("{'descr': '|u1', 'fortran_order': 1, ") == "a 'fortran_order' that is neither True nor False")
    #expect(damage("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,), }") == "a 'shape' that is not a tuple of lengths")
    #expect(
      damage("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,), }") == "an axis of 99999999999999999999 elements")
    #expect(damage("{'descr': '|u1', 'fortran_order': False, 'shape': (\(String(repeating: "1, ", count: 40))), }") == "more than 32 axes")
    #expect(damage("{'descr': '|u1', 'fortran_order': False, 'shape': (1,), } import os") == "text after the closing brace")
    #expect(damage("{'descr' '|u1'") == "no ':' at place 9")
  }

  @Test func theSize() {
    func header(_ shape: String) -> String { "{'descr': '<i8', 'fortran_order': False, 'shape': (\(shape)), }" }
    #expect(message(header: header("4,"), 31) == "\"x.npy\" is truncated: 4 int64 are 32 bytes, 31 follow the header")
    #expect(message(header: header("4,"), 33) == "\"x.npy\" has 1 bytes after its 4 int64 elements")
    #expect(
      message(header: header("4294967296, 4294967296")) == "\"x.npy\" promises an array of 4294967296×4294967296, which no memory holds")
    // An axis of nothing does not hide the others: their product overflows wherever it is taken.
    for shape in ["0, 4294967296, 4294967296", "4294967296, 4294967296, 0", "4294967296, 0, 4294967296"] {
      let axes = shape.replacingOccurrences(of: ", ", with: "×")
      #expect(message(header: header(shape)) == "\"x.npy\" promises an array of \(axes), which no memory holds")
    }
    #expect(message(header: header("0, 4294967296"), 0) == nil)
    #expect(message(header: header(""), 8) == nil)
  }
}

@Suite struct NumpyWritingTests {
  @Test func rowsOfUnknownNumber() throws {
    try References.withTemporaryFolder { folder in
      let path = folder.appending(path: "logits.npy").path
      var writer = try NumpyWriter(path: path, type: .float32, rowShape: [3])
      try writer.append(Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]))
      #expect(!FileManager.default.fileExists(atPath: path))
      try writer.append(Tensor([7, 8, 9], shape: [1, 3]))
      #expect(writer.count == 3)
      try writer.close()
      #expect(try NumpyArray(path: path).tensor() == Tensor([1, 2, 3, 4, 5, 6, 7, 8, 9], shape: [3, 3]))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["logits.npy"])
      let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
      #expect(bytes.count == 192 + 36 && bytes[191] == 0x0A)
    }
  }

  @Test func picturesAndLabels() throws {
    try References.withTemporaryFolder { folder in
      let (images, labels) = (folder.appending(path: "images.npy").path, folder.appending(path: "labels.npy").path)
      var imageWriter = try NumpyWriter(path: images, type: .uint8, rowShape: [4, 5, 3])
      var labelWriter = try NumpyWriter(path: labels, type: .int64, rowShape: [])
      for number in 0..<3 {
        try imageWriter.append(Patterns.flat(number, width: 5, height: 4))
        try labelWriter.append(label: number * 1000 - 1)
      }
      try imageWriter.close()
      try labelWriter.close()
      let read = try NumpyImages(path: images, labels: labels)
      #expect(try read.image(at: 2) == Patterns.flat(2, width: 5, height: 4))
      #expect(read.labels == [-1, 999, 1999])
    }
  }

  @Test func anUnfinishedFileLeavesNothing() throws {
    try References.withTemporaryFolder { folder in
      let path = folder.appending(path: "logits.npy").path
      do {
        var writer = try NumpyWriter(path: path, type: .float32, rowShape: [1])
        try writer.append(Tensor([1], shape: [1, 1]))
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
      let error = errorThrown { _ = try NumpyWriter(path: folder.appending(path: "no/logits.npy").path, type: .float32, rowShape: [1]) }
      #expect(error?.code == .cannotWrite && error?.message.hasSuffix("No such file or directory") == true)
    }
  }

  @Test(arguments: [[0], [5], [50_000, 32, 32, 3], []]) func headersReadBack(_ shape: [Int]) throws {
    let bytes = NumpyHeader.encoded(type: .uint8, shape: shape)
    #expect(bytes.count % 64 == 0)
    var parser = NumpyHeaderParser(bytes[10...], name: "made")
    #expect(try parser.parse().shape == shape)
  }
}
