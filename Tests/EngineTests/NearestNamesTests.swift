// The names somebody probably meant.

import Engine
import Testing

@Suite struct NearestNamesTests {
  static let names = ["tent", "cotta", "source", "batch-norm", "lame", "memo"]

  @Test func theNearestComeFirst() {
    #expect(NearestNames.nearest(to: "tnet", in: Self.names) == ["tent", "cotta", "lame"])
    #expect(NearestNames.nearest(to: "BATCH_NORM", in: Self.names, count: 1) == ["batch-norm"])
    #expect(NearestNames.nearest(to: "", in: ["a"], count: 3) == ["a"])
    #expect(NearestNames.nearest(to: "x", in: []).isEmpty)
  }

  @Test func theErrorNamesThem() {
    let error = NearestNames.unknown("strategy", "tant", in: ["tent", "cotta"])
    #expect(error.code == .usage && error.message == "unknown strategy \"tant\"" && error.hint == "nearest names: tent, cotta")
  }
}
