// Severities between the published ones.

import Engine
import Testing
import Vision
import VisionTestSupport

@Suite struct SeverityTests {
  private func picture(_ kind: CorruptionKind, _ severity: Double, _ table: CorruptionTable) throws -> Image {
    try Corruptor(kind, severity: severity, table: table, seed: 4).apply(to: Patterns.reference(side: 64), index: 2)
  }

  @Test(arguments: CorruptionKind.all, CorruptionTable.allCases) func zeroChangesNothing(_ kind: CorruptionKind, _ table: CorruptionTable)
    throws
  {
    #expect(try picture(kind, 0, table) == Patterns.reference(side: 64))
  }

  @Test(arguments: CorruptionKind.all, CorruptionTable.allCases) func wholeSeveritiesAreTheTables(
    _ kind: CorruptionKind, _ table: CorruptionTable
  ) throws {
    let rows = table == .cifar ? kind.parameters.cifar : kind.parameters.imagenet
    for severity in 1...5 {
      #expect(kind.parameters.row(table, Double(severity)) == rows[severity - 1])
      #expect(
        try picture(kind, Double(severity), table)
          == Corruptor(kind, severity: severity, table: table, seed: 4).apply(to: Patterns.reference(side: 64), index: 2))
    }
  }

  /// All twenty quarters make pictures, and the parameters of a half are the middle of their neighbours.
  @Test(arguments: CorruptionKind.all, CorruptionTable.allCases) func quartersWork(_ kind: CorruptionKind, _ table: CorruptionTable) throws
  {
    for quarters in 1...20 { #expect(try picture(kind, Double(quarters) / 4, table).width == 64) }
    let (low, high) = (kind.parameters.row(table, 3), kind.parameters.row(table, 4))
    for (value, ends) in zip(kind.parameters.row(table, 3.5), zip(low, high)) {
      let expected = kind.name == "shot-noise" ? 2 / (1 / ends.0 + 1 / ends.1) : (ends.0 + ends.1) / 2
      #expect(abs(value - expected) <= 1e-12 * abs(expected))
    }
  }

  @Test func publishedRowsBetween() throws {
    func row(_ name: String, _ severity: Double) throws -> [Double] {
      try CorruptionKind.named(name).parameters.row(.imagenet, severity)
    }
    #expect(try row("gaussian-noise", 0.5) == [0.04])
    #expect(try row("shot-noise", 0.5) == [120])
    #expect(try row("zoom-blur", 0) == [1, 0.01])
    #expect(try row("snow", 0) == [0.1, 0.3, 3, 1, 10, 4, 1])
    #expect(try row("frost", 0.5) == [1, 0.2])
    #expect(try row("jpeg-compression", 0.5) == [55])
    #expect(try row("elastic-transform", 0) == [0, 999, 0])
    #expect(try row("defocus-blur", 4.25) == [8.5, 0.5])
  }

  @Test func otherSeveritiesAreRefused() throws {
    let kind = try CorruptionKind.named("fog")
    for (severity, text) in [(0.1, "0.1"), (-0.25, "-0.25"), (5.25, "5.25"), (.nan, "nan"), (.infinity, "inf"), (1e300, "1e+300")] {
      let error = errorThrown { try Corruptor(kind, severity: severity, table: .cifar, seed: 0) }
      #expect(error?.message == "severity \(text) of fog, expected 0...5 in steps of 0.25")
      #expect(error?.hint == "5 is the strongest and the benchmarks' default")
    }
  }

  /// A disc on half pixels: the weights sum to one, but for its edge, which the reflected border of the grid makes a little heavier.
  @Test func discsOnHalfPixels() {
    for radius in [8.5, 9.5] {
      let disc = DiscKernel(radius: radius, deviation: 0.5)
      #expect(disc.isEven)
      let side = disc.reach + 1
      #expect(abs(disc.weights.reduce(0) { $0 + 4 * Double($1) } - 1) < 0.03)
      #expect(disc.weights[0] > 0 && disc.weights[side * side - 1] == 0)
    }
  }
}
