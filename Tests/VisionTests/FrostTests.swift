// Frost from photographs and without them.

import Engine
import Foundation
import Testing
import Vision
import VisionTestSupport

@Suite struct FrostTests {
  @Test func labelsSayWhatIsProcedural() throws {
    let frost = try CorruptionKind.named("frost")
    #expect(frost.label() == "frost (procedural)")
    #expect(frost.label(hasPhotographs: true) == "frost")
    #expect(try CorruptionKind.named("fog").label() == "fog")
    #expect(try Corruptor(frost, severity: 1, table: .cifar, seed: 1).label == "frost (procedural)")
  }

  @Test func texturesDependOnTheSeedAlone() throws {
    func picture(_ seed: UInt64) throws -> Image {
      try Corruptor(.named("frost"), severity: 5, table: .imagenet, seed: seed).apply(
        to: Patterns.flat(40, width: 224, height: 224), index: 3)
    }
    let first = try picture(1)
    #expect(try picture(2) != first)
    #expect(try picture(1) == first)
  }

  @Test func photographsAreChecked() throws {
    try References.withTemporaryFolder { folder in
      func error() -> String? {
        errorThrown { try Corruptor(.named("frost"), severity: 1, table: .cifar, seed: 1, frostDirectory: folder.path) }?.message
      }
      #expect(error() == "\"\(folder.path)/frost1.png\" does not exist")
      try Data(ImageCodec.png(Patterns.flat(9, width: 224, height: 300))).write(to: folder.appending(path: "frost1.png"))
      #expect(error() == "\"\(folder.path)/frost1.png\" has 224×300 pixels, expected more than 224×224")
    }
  }

  /// Five flat photographs: the result is the weighted sum, one level for all.
  @Test func photographsAreBlended() throws {
    try References.withTemporaryFolder { folder in
      for name in ["frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg"] {
        try Data(ImageCodec.png(Patterns.flat(200, width: 300, height: 250))).write(to: folder.appending(path: name))
      }
      let corruptor = try Corruptor(.named("frost"), severity: 5, table: .imagenet, seed: 1, frostDirectory: folder.path)
      #expect(corruptor.label == "frost")
      let result = corruptor.apply(to: Patterns.flat(100, width: 224, height: 224), index: 0)
      #expect(result == Patterns.flat(210, width: 224, height: 224))
    }
  }
}
