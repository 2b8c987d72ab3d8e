// Data sets in their published forms, made small here, and the entry that tells them apart.

import Engine
import Foundation
import Streams
import Testing
import Vision
import VisionTestSupport

/// Writes small data sets.
private struct Builder {
  let folder: URL
  func path(_ name: String) -> String { folder.appending(path: name).path }
  func write(_ bytes: [UInt8], to name: String) throws {
    let file = folder.appending(path: name)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: file)
  }
  func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }
  func array(_ levels: [Int], to name: String, side: Int = 4) throws {
    try FileManager.default.createDirectory(
      at: folder.appending(path: name).deletingLastPathComponent(), withIntermediateDirectories: true)
    var writer = try NumpyWriter(path: path(name), type: .uint8, rowShape: [side, side, 3])
    for level in levels { try writer.append(Patterns.flat(level, width: side, height: side)) }
    try writer.close()
  }
  func labels(_ labels: [Int], to name: String) throws {
    var writer = try NumpyWriter(path: path(name), type: .int64, rowShape: [])
    for label in labels { try writer.append(label: label) }
    try writer.close()
  }
  func picture(_ level: Int, to name: String) throws { try write(ImageCodec.png(Patterns.flat(level, width: 4, height: 4)), to: name) }
}
private func with<R>(_ body: (Builder) throws -> R) throws -> R { try References.withTemporaryFolder { try body(Builder(folder: $0)) } }
private func level(_ images: any LabeledImages, _ index: Int) throws -> UInt8 { try images.image(at: index).pixels[0] }

@Suite struct CifarTests {
  private func record(_ labels: [UInt8], _ level: Int) -> [UInt8] {
    labels + (0..<3).flatMap { channel in (0..<1024).map { UInt8(($0 + channel * 7 + level) & 255) } }
  }

  @Test func binaryFiles() throws {
    try with { build in
      try build.write(record([3], 0) + record([9], 1), to: "a/test_batch.bin")
      for number in 1...5 { try build.write(record([UInt8(number)], number), to: "a/data_batch_\(number).bin") }
      try build.write(
        ["airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"].joined(separator: "\n"),
        to: "a/batches.meta.txt")
      let (kind, test) = try DatasetFolder.open(build.path("a"))
      #expect(kind.name == "cifar10-binary" && test.count == 2 && test.labels == [3, 9] && test.classNames?[3] == "cat")
      let image = try test.image(at: 1)
      #expect(image.sizeText == "32×32" && Array(image.pixels[..<6]) == [1, 8, 15, 2, 9, 16])
      #expect(test.name(at: 1) == "\(build.path("a"))/test_batch.bin[1]")
      var options = DatasetFolder.Options()
      options.part = .train
      #expect(try DatasetFolder.open(build.path("a"), options: options).images.labels == [1, 2, 3, 4, 5])

      try build.write(record([1, 99], 0), to: "b/test.bin")
      let (hundred, fine) = try DatasetFolder.open(build.path("b"))
      #expect(hundred.name == "cifar100-binary" && fine.labels == [99])
      try build.write(Array(record([3], 0).dropLast()), to: "a/test_batch.bin")
      #expect(
        errorThrown { try DatasetFolder.open(build.path("a")) }?.message
          == "\"\(build.path("a"))/test_batch.bin\" has 3072 bytes, expected a multiple of 3073 (cifar10 in binary form)")
      try build.write(record([3], 0) + record([10], 0), to: "a/test_batch.bin")
      #expect(
        errorThrown { try DatasetFolder.open(build.path("a")) }?.message
          == "\"\(build.path("a"))/test_batch.bin\": label 10 of picture 1, expected less than 10")
    }
  }

  @Test func corruptedArrays() throws {
    try with { build in
      try build.array(Array(0..<10), to: "c/fog.npy")
      try build.array(Array(100..<110), to: "c/gaussian_noise.npy")
      try build.labels([4, 7, 4, 7, 4, 7, 4, 7, 4, 7], to: "c/labels.npy")
      let (kind, images) = try DatasetFolder.open(build.path("c"))
      #expect(kind.name == "cifar-c" && images.count == 2 && images.labels == [4, 7])
      let noise = try #require(try images.images(of: Domain("gaussian-noise", severity: 3)))
      #expect(try level(noise, 0) == 104 && level(noise, 1) == 105)
      // A stream over it shows the files' pictures and corrupts nothing.
      let stream = try DomainStream(images, domains: [Domain("fog", severity: 1), Domain("gaussian_noise", severity: 5)], batchSize: 2)
      #expect(try stream.batch(at: 1).images.values.first == Float(108) / 255 && stream.batch(at: 1).labels == [4, 7])
      func message(_ domain: Domain) -> String? { errorThrown { try DomainStream(images, domains: [domain], batchSize: 2) }?.message }
      let path = build.path("c")
      #expect(message(Domain("snow", severity: 1)) == "\"\(path)\" has no corruption \"snow\"")
      #expect(message(Domain("fog", severity: 6)) == "\"\(path)\" holds severities 1...5 of fog, not 6.0")
      #expect(message(.clean) == "\"\(path)\" holds pictures of single corruptions only, not of clean")
      // Parts and open sets go through to the files.
      let part = try ImageRange(images, 1..<2)
      #expect(try level(try #require(try part.images(of: Domain("fog", severity: 2))), 0) == 3)
      let open = ConcatenatedImages([images, UnknownImages(images)])
      let both = try #require(try open.images(of: Domain("fog", severity: 5)))
      #expect(both.labels == [4, 7, -1, -1] && both.count == 4)
      #expect(try level(both, 3) == 9)
      let mixed = ConcatenatedImages([images, ShapesDataset(0..<2)])
      #expect(errorThrown { try mixed.images(of: Domain("fog", severity: 5)) }?.message == "1 of 2 data sets hold fog 5 already corrupted")

      try build.labels([1, 2, 3], to: "c/labels.npy")
      #expect(
        errorThrown { try DatasetFolder.open(path) }?.message == "\"\(path)/labels.npy\" has 3 labels for 10 pictures, expected 10 or 2")
      try build.labels([1, 2], to: "c/labels.npy")
      try build.array(Array(0..<5), to: "c/gaussian_noise.npy")
      let short = try DatasetFolder.open(path).images
      #expect(
        errorThrown { try short.images(of: Domain("gaussian-noise", severity: 1)) }?.message
          == "\"\(path)/gaussian_noise.npy\" has 5 pictures, expected 10 as in the other files")
      try build.array(Array(0..<7), to: "c/fog.npy")
      #expect(
        errorThrown { try DatasetFolder.open(path) }?.message == "\"\(path)/fog.npy\" has 7 pictures, expected five blocks of one length")
    }
  }
}

@Suite struct FolderDatasetTests {
  @Test func imageNetC() throws {
    try with { build in
      for (number, name) in ["fog/1", "fog/5", "snow/5"].enumerated() {
        try build.picture(10 * number, to: "i/\(name)/n01/a.JPEG")
        try build.picture(10 * number + 1, to: "i/\(name)/n02/b.JPEG")
      }
      let path = build.path("i")
      let (kind, images) = try DatasetFolder.open(path)
      #expect(kind.name == "imagenet-c" && images.labels == [0, 1] && images.classNames == ["n01", "n02"])
      let snow = try #require(try images.images(of: Domain("snow", severity: 5)))
      #expect(try level(snow, 1) == 21)
      #expect(snow.labels == [0, 1] && snow.name(at: 1) == "\(path)/snow/5/n02/b.JPEG")
      #expect(errorThrown { try images.images(of: Domain("snow", severity: 1)) }?.message == "\"\(path)/snow\" has no severity 1")

      try build.write("# chosen\nn02/b.JPEG\n\nn02/gone.JPEG\n", to: "list.txt")
      try build.write("n00\nn01\nn02\n", to: "wnids.txt")
      var options = DatasetFolder.Options()
      (options.files, options.classes) = (build.path("list.txt"), build.path("wnids.txt"))
      let listed = try DatasetFolder.open(path, options: options).images
      #expect(listed.labels == [2, 2] && listed.count == 2)
      // A missing picture is a failure of its batch, with its place and path.
      let batch = try DomainStream(listed, domains: [Domain("fog", severity: 5)], batchSize: 2).batch(at: 0)
      #expect(batch.places == [0] && batch.failures.map(\.place) == [1])
      #expect(batch.failures.first?.name == "\(path)/fog/5/n02/gone.JPEG")
      #expect(batch.failures.first?.error.message == "\"\(path)/fog/5/n02/gone.JPEG\" does not exist")
      try build.write("../secret.png\n", to: "list.txt")
      #expect(
        errorThrown { try DatasetFolder.open(path, options: options) }?.message
          == "\"\(build.path("list.txt"))\" line 1: \"../secret.png\", expected class/picture")
      try build.write("# nothing\n", to: "list.txt")
      #expect(errorThrown { try DatasetFolder.open(path, options: options) }?.message == "\"\(build.path("list.txt"))\" has no lines")
    }
  }

  @Test func domainFolders() throws {
    try with { build in
      try build.picture(1, to: "p/photo/cat/1.png")
      try build.picture(2, to: "p/photo/dog/1.png")
      try build.picture(3, to: "p/sketch/dog/1.png")
      let (kind, images) = try DatasetFolder.open(build.path("p"))
      #expect(kind.name == "domain-folders" && images.labels == [0, 1, 1] && images.classNames == ["cat", "dog"])
      #expect(images.parts == [.init(name: "photo", places: 0..<2), .init(name: "sketch", places: 2..<3)])
      let domains = [Domain(name: "sketch"), Domain(name: "photo", steps: [.init("contrast", severity: 5)])]
      let plan = try StreamPlan(Continual(), for: StreamContents(images, domains: domains), seed: 1)
      #expect(plan.segments.map(\.places) == [[2], [0, 1]])
      let stream = try DomainStream(images, plan: plan, batchSize: 5)
      #expect(try stream.batch(at: 0).domain.description == "sketch" && stream.batch(at: 0).images.values[0] == Float(3) / 255)
      #expect(try stream.batch(at: 1).domain.description == "photo, contrast 5")
      #expect(try ImageRange(images, 1..<3).parts == [.init(name: "photo", places: 0..<1), .init(name: "sketch", places: 1..<2)])
      try build.picture(3, to: "p/sketch/owl/1.png")
      var options = DatasetFolder.Options()
      try build.write("cat\ndog\n", to: "classes.txt")
      options.classes = build.path("classes.txt")
      #expect(
        errorThrown { try DatasetFolder.open(build.path("p"), options: options) }?.message
          == "folder \"\(build.path("p"))/sketch/owl\" is not one of the 2 classes")
    }
  }

  @Test func classFoldersAndPictures() throws {
    try with { build in
      try build.picture(1, to: "f/n02/1.png")
      try build.picture(2, to: "f/n01/2.png")
      let (kind, images) = try DatasetFolder.open(build.path("f"))
      #expect(kind.name == "class-folders" && images.labels == [0, 1])
      try build.write("n00 \nn01\nn02\n", to: "wnids.txt")
      var options = DatasetFolder.Options()
      options.classes = build.path("wnids.txt")
      #expect(try DatasetFolder.open(build.path("f"), options: options).images.labels == [1, 2])
      try build.picture(1, to: "g/1.png")
      let (plain, pictures) = try DatasetFolder.open(build.path("g"))
      #expect(plain.name == "pictures" && pictures.labels == nil && pictures.count == 1)
      try build.array([1, 2], to: "h/images.npy")
      try build.labels([0, 1], to: "h/labels.npy")
      #expect(
        try DatasetFolder.open(build.path("h")).kind.name == "npy-pair" && DatasetFolder.open(build.path("h")).images.labels == [0, 1])
      try build.labels([5, 6], to: "h/images_labels.npy")
      #expect(try DatasetFolder.open(build.path("h/images.npy")).images.labels == [5, 6])
      #expect(try DatasetFolder.open("shapes").images.count == 10_000)
    }
  }

  @Test func otherFoldersAreRefused() throws {
    try with { build in
      try build.write("hello", to: "empty/readme.txt")
      let error = errorThrown { try DatasetFolder.open(build.path("empty")) }
      #expect(
        error?.message
          == "\"\(build.path("empty"))\" is no data set; looked for IMAGES.npy, labels in IMAGES_labels.npy if there (npy); images.npy, labels.npy (npy-pair); <corruption>.npy of five blocks by severity, labels.npy (cifar-c); test_batch.bin, data_batch_1.bin … 5 (cifar10-binary); test.bin, train.bin (cifar100-binary); t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (mnist); <corruption>/<severity>/<class>/<picture> (imagenet-c); <domain>/<class>/<picture> (domain-folders); <class>/<picture> (class-folders); <picture> (pictures)"
      )
      #expect(error?.hint == "tta list datasets shows the layouts" && error?.code == .missingInput)
      #expect(errorThrown { try DatasetFolder.open(build.path("empty/readme.txt")) }?.code == .missingInput)
      #expect(errorThrown { try DatasetFolder.open(build.path("none")) }?.message == "\"\(build.path("none"))\" does not exist")
    }
  }

  /// Ten thousand files of which some cannot be read: the stream goes on and says which.
  @Test func unreadableFilesAmongManyAreCounted() throws {
    try with { build in
      let good = try ImageCodec.png(Patterns.flat(7, width: 4, height: 4))
      let source = build.path("good.png")
      try build.write(good, to: "good.png")
      for label in 0..<10 {
        try FileManager.default.createDirectory(atPath: build.path("big/c\(label)"), withIntermediateDirectories: true)
        for number in 0..<1_000 {
          let target = build.path("big/c\(label)/\(1_000 + number).png")
          if (label * 1_000 + number) % 2_500 == 1_234 {
            try Data("no picture".utf8).write(to: URL(fileURLWithPath: target))
          } else {
            try #require(link(source, target) == 0)
          }
        }
      }
      let images = try DatasetFolder.open(build.path("big")).images
      let stream = try DomainStream(images, domains: [.clean], batchSize: 1_000)
      let batches = stream.prefetched(threads: 2)
      var (rows, failures) = (0, [ImageFailure]())
      while let batch = try batches.next() {
        rows += batch.count
        failures += batch.failures
      }
      #expect(rows == 9_996 && failures.map(\.place) == [1_234, 3_734, 6_234, 8_734])
      #expect(failures.first?.name == "\(build.path("big"))/c1/1234.png")
    }
  }
}

@Suite struct OtherFormsTests {
  private func idx(_ shape: [Int], _ bytes: [UInt8]) -> [UInt8] {
    [0, 0, 8, UInt8(shape.count)] + shape.flatMap { length in (0..<4).reversed().map { UInt8(length >> (8 * $0) & 255) } } + bytes
  }

  @Test func digits() throws {
    try with { build in
      let pixels = (0..<2 * 28 * 28).map { UInt8($0 * 5 & 255) }
      try build.write(idx([2, 28, 28], pixels), to: "m/t10k-images-idx3-ubyte")
      try build.write(idx([2], [7, 2]), to: "m/t10k-labels-idx1-ubyte")
      let (kind, images) = try DatasetFolder.open(build.path("m"))
      #expect(kind.name == "mnist" && images.labels == [7, 2])
      let original = Image(width: 28, height: 28, pixels: pixels[784...].flatMap { [$0, $0, $0] })
      #expect(try images.image(at: 1) == original.resized(width: 32, height: 32, .bilinear))
      let (imagePath, labelPath) = (build.path("m/t10k-images-idx3-ubyte"), build.path("m/t10k-labels-idx1-ubyte"))
      #expect(try IdxImages(path: imagePath, labels: nil, side: nil).image(at: 1) == original)
      func message() -> String? { errorThrown { try IdxImages(path: imagePath, labels: labelPath) }?.message }
      try build.write(idx([1], [7]), to: "m/t10k-labels-idx1-ubyte")
      #expect(message() == "1 labels in \"\(labelPath)\" for the 2 pictures of \"\(imagePath)\"")
      try build.write([0x1F, 0x8B, 8, 0] + pixels, to: "m/t10k-labels-idx1-ubyte")
      #expect(
        message() == "\"\(labelPath)\" is no idx file of bytes with 1 axes: it starts with 31 139 8 0, expected 0 0 8 1")
      try build.write(idx([3, 28, 28], pixels), to: "m/t10k-images-idx3-ubyte")
      #expect(message() == "\"\(imagePath)\" promises 3×28×28 bytes, 1568 follow its header")
      try build.write(idx([0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF], pixels), to: "m/t10k-images-idx3-ubyte")
      #expect(message() == "\"\(imagePath)\" promises 4294967295×4294967295×4294967295 bytes, 1568 follow its header")
    }
  }

  @Test func unknownAndHeldOutClasses() throws {
    let shapes = ShapesDataset(0..<20)
    #expect(UnknownImages(shapes).labels == Array(repeating: -1, count: 20) && UnknownImages(shapes).classNames == nil)
    let held = try HeldOutClasses(shapes, knownClasses: 7)
    #expect(held.labels == shapes.labels?.map { $0 < 7 ? $0 : -1 } && held.classNames?.count == 7)
    #expect(errorThrown { try HeldOutClasses(shapes, knownClasses: 0) }?.message == "0 known classes, expected 1 or more")
    let contents = StreamContents(held, domains: [.clean])
    #expect(contents.classCount == 7)
    var setting = OpenSet()
    setting.construction = .classSplit
    let stream = try DomainStream(held, plan: StreamPlan(setting, for: contents, seed: 1), batchSize: 20)
    #expect(try stream.batch(at: 0).labels == held.labels)
    // Known and unknown side by side: two data sets as one, the unknown ones last, under one corruption.
    let open = ConcatenatedImages([shapes, UnknownImages(ShapesDataset(20..<40))])
    let plan = try StreamPlan(OpenSet(), for: StreamContents(open, domains: [Domain("contrast", severity: 5)]), seed: 1)
    let batch = try DomainStream(open, plan: plan, batchSize: 40).batch(at: 0)
    #expect(batch.labels == (shapes.labels ?? []) + Array(repeating: -1, count: 20))
    #expect(
      try ImageBatch.image(30, of: batch.images)
        == Corruptor(.named("contrast"), severity: 5, table: .cifar, seed: 1).apply(to: ShapesDataset(0..<40).render(30), index: 30))
  }

  @Test func noiseHasTheStatisticsOfPictures() throws {
    let noise = try NoiseImages(count: 40, side: 32, seed: 3)
    #expect(noise.labels == Array(repeating: -1, count: 40) && noise.name(at: 7) == "noise 7")
    #expect(try noise.image(at: 7) == noise.image(at: 7) && noise.image(at: 7) != noise.image(at: 8))
    #expect(try NoiseImages(count: 1, side: 32, seed: 4).image(at: 0) != noise.image(at: 0))
    let pixels = try (0..<40).flatMap { try noise.image(at: $0).pixels }
    for channel in 0..<3 {
      let values = stride(from: channel, to: pixels.count, by: 3).map { Double(pixels[$0]) }
      let mean = values.reduce(0, +) / Double(values.count)
      // Clipping at 0 and 255 moves the mean by less than two levels.
      #expect(abs(mean - 255 * Double(Preprocessing.imageNetMean[channel])) < 2.5)
    }
    #expect(
      errorThrown { try NoiseImages(count: 1, side: 0, seed: 1) }?.message
        == "1 pictures of noise with side 0, expected at least 0 with side 1...4096")
  }

  /// A header that promises more than there is is an error at once; a file that becomes shorter while it is used is an error of a picture.
  @Test func truncatedArrays() throws {
    try with { build in
      let path = build.path("images.npy")
      try build.array([1, 2, 3, 4], to: "images.npy")
      let images = try DatasetFolder.open(path).images
      let stream = try DomainStream(images, domains: [.clean], batchSize: 2)
      #expect(try stream.batch(at: 1).places == [2, 3])
      try #require(truncate(path, 192 + 3 * 48 + 8) == 0)
      let batch = try stream.batch(at: 1)
      #expect(batch.places == [2] && batch.failures.map(\.place) == [3])
      #expect(batch.failures.first?.error.message == "cannot read picture 3 of \"\(path)\": expected 48 bytes at 336, got 8")
      #expect(batch.failures.first?.error.hint == "the file changed or its disk failed; copy it again")
      #expect(
        errorThrown { try DatasetFolder.open(path) }?.message
          == "\"\(path)\" is truncated: 4×4×4×3 uint8 are 192 bytes, 152 follow the header")
    }
  }
}
