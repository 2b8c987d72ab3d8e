// The metrics against values worked out by hand.

import Engine
import Evaluation
import Foundation
import Streams
import TTA
import Testing

@Suite struct CalibrationTests {
  private func calibration(_ rows: [Float], _ labels: [Int]) -> Calibration {
    var calibration = Calibration()
    calibration.add(Prediction(.probabilities(Tensor(rows, shape: [labels.count, 2]))), labels: labels)
    return calibration
  }
  @Test func likelihoodAndBrier() {
    let calibration = calibration([0.75, 0.25, 0.5, 0.5], [0, 1])
    #expect(abs(calibration.negativeLogLikelihood - -(log(0.75) + log(0.5)) / 2) < 1e-9)
    #expect(abs(calibration.brierScore - (0.125 + 0.5) / 2) < 1e-9)
    #expect(abs(calibration.meanEntropy - (-(0.75 * log(0.75) + 0.25 * log(0.25)) + log(2)) / 2) < 1e-7)
  }
  @Test func calibrationErrorIsTheGapOfTheBins() {
    // 0.875 twice, one of them right: a gap of 0.375. 0.625 once, right: the same gap in another bin.
    let calibration = calibration([0.875, 0.125, 0.125, 0.875, 0.625, 0.375], [0, 0, 0])
    #expect(abs(calibration.expectedErrorPercent - 37.5) < 1e-9)
  }
  @Test func certainAndRightIsPerfect() {
    let calibration = calibration([1, 0, 0, 1], [0, 1])
    #expect(calibration.expectedErrorPercent == 0 && calibration.brierScore == 0 && calibration.negativeLogLikelihood == 0)
  }
  @Test func logitsGoThroughASoftmax() {
    var logits = Calibration()
    logits.add(Prediction(.logits(Tensor([Float(log(3.0)), 0], shape: [1, 2]))), labels: [0])
    #expect(abs(logits.negativeLogLikelihood + log(0.75)) < 1e-6)
  }
  @Test func unknownPicturesAreNotJudged() {
    let calibration = calibration([0.75, 0.25, 1, 0], [0, -1])
    #expect((calibration.judged, calibration.answered) == (1, 2))
    #expect(abs(calibration.negativeLogLikelihood + log(0.75)) < 1e-9)
  }
  @Test func partsAddUp() {
    var sum = calibration([0.75, 0.25], [0])
    sum.add(calibration([0.5, 0.5], [1]))
    #expect(sum == calibration([0.75, 0.25, 0.5, 0.5], [0, 1]))
  }
}

@Suite struct OpenSetScoreTests {
  @Test func handValues() throws {
    // Pairs (known, unknown): 4 > 3, 4 > 1, 2 > 1 of four; the picture of score 2 is wrong.
    let scores = try #require(OpenSetScores(known: [4, 2], isCorrect: [true, false], unknown: [3, 1]))
    #expect(scores.areaPercent == 75)
    #expect(scores.openSetClassificationPercent == 50)
    #expect(scores.falsePositivePercent == 50)
  }
  @Test func tiesCountHalf() throws {
    #expect(try #require(OpenSetScores(known: [1], isCorrect: [true], unknown: [1])).areaPercent == 50)
  }
  @Test func fivePerCentOfTheKnownMayBeLost() throws {
    // 19 of 20 known scores are at least 2, so 2 is the threshold; one of four unknown ones passes.
    let scores = try #require(
      OpenSetScores(known: (1...20).map { Float($0) }, isCorrect: Array(repeating: true, count: 20), unknown: [0, 1, 1.5, 2]))
    #expect(scores.falsePositivePercent == 25)
  }
  @Test func harmonicMeanAtTheGap() throws {
    // The least variance is between 2 and 8: all known pictures pass, three of four right; all unknown ones are rejected.
    let scores = try #require(OpenSetScores(known: [8, 9, 9, 8], isCorrect: [true, true, true, false], unknown: [1, 2]))
    #expect(abs(scores.harmonicPercent - 200 * 0.75 / 1.75) < 1e-9)
  }
  @Test func oneKindAloneHasNone() {
    #expect(OpenSetScores(known: [1], isCorrect: [true], unknown: []) == nil)
    #expect(OpenSetScores(known: [], isCorrect: [], unknown: [1]) == nil)
  }
  @Test func harmonicMean() {
    #expect(HScore.percent(0.5, 1) == 200 * 0.5 / 1.5)
    #expect(HScore.percent(0, 0) == 0)
  }
}

@Suite struct MeanCorruptionErrorTests {
  @Test func plainMeanIsOverCorruptions() {
    #expect(MeanCorruptionError.unnormalizedPercent(["fog": [10, 30], "snow": [40]]) == 30)
    #expect(MeanCorruptionError.unnormalizedPercent([:]) == nil)
  }
  @Test func alexNetItselfIsAHundred() throws {
    var errors: [String: [Double]] = [:]
    for (name, error) in AlexNetErrors.percent { errors[name] = Array(repeating: error, count: 5) }
    #expect(abs(try #require(MeanCorruptionError.alexNetNormalizedPercent(errors)) - 100) < 1e-9)
    errors["fog"] = [1]
    #expect(MeanCorruptionError.alexNetNormalizedPercent(errors) == nil)
  }
  @Test func fifteenReferences() {
    #expect(AlexNetErrors.percent.map(\.corruption) == DomainOrder.standard)
    let published = [88.6, 89.4, 92.3, 82.0, 82.6, 78.6, 79.8, 86.7, 82.7, 81.9, 56.5, 85.3, 64.6, 71.8, 60.7]
    #expect(zip(AlexNetErrors.percent, published).allSatisfy { abs($0.error - $1) <= 0.0501 })
    let mean = AlexNetErrors.percent.reduce(0) { $0 + $1.error } / 15
    #expect(abs(mean - 78.8) < 0.1)
  }
}

@Suite struct PairedBootstrapTests {
  private func errors(_ wrong: [Bool]) -> PictureErrors {
    var errors = PictureErrors()
    for (place, isWrong) in wrong.enumerated() { errors.add(place: place, isWrong: isWrong) }
    return errors
  }
  @Test func allBetterIsTheLeastPossible() throws {
    let test = try #require(
      PairedBootstrap(baseline: errors(Array(repeating: true, count: 10)), strategy: errors(Array(repeating: false, count: 10))))
    #expect(test.gainPercent == 100)
    #expect(abs(test.pValue - 2.0 / 10_001) < 1e-12 && test.text == "p < 0.001")
  }
  @Test func sameAnswersDoNotDiffer() throws {
    let same = errors([true, false, true])
    let test = try #require(PairedBootstrap(baseline: same, strategy: same))
    #expect(test.gainPercent == 0 && test.pValue == 1 && test.text == "p = 1.000")
  }
  @Test func agreesWithTheBinomialLaw() throws {
    // One picture of ten is better, none is worse: a draw misses it with probability 0.9^10, twice that is 0.6974.
    let test = try #require(
      PairedBootstrap(baseline: errors([true] + Array(repeating: false, count: 9)), strategy: errors(Array(repeating: false, count: 10))))
    #expect(abs(test.pValue - 0.6974) < 0.03)
  }
  @Test func otherPicturesCannotBePaired() { #expect(PairedBootstrap(baseline: errors([true]), strategy: errors([true, true])) == nil) }
}

@Suite struct SpreadTests {
  @Test func standardErrorOfTheMean() throws {
    let spread = Spread([1, 2, 3, 4])
    #expect(spread.mean == 2.5)
    #expect(abs(try #require(spread.standardError) - (5.0 / 3 / 4).squareRoot()) < 1e-12)
    #expect(Spread([3]).standardError == nil)
  }
}

@Suite struct ReplayConfigurationTests {
  private func configuration() -> ReplayConfiguration {
    ReplayConfiguration(
      model: .keys(["path": .text("m")]), modelDigest: "a", data: .keys([:]), dataDigest: "b", dataset: "toy",
      strategies: ["source", "tent"].map { .init(label: $0, section: .keys(["name": .text($0)])) },
      settings: [.init(name: "continual"), .init(name: "gradual")], corruptions: ["fog"], severities: [3, 5], seeds: [1, 2])
  }
  @Test func cellsAreTheProductButForSettingsThatChooseSeverities() {
    let keys = configuration().cells.map(\.key)
    #expect(keys.count == 2 * 2 * 2 + 2 * 2)
    #expect(Set(keys).count == keys.count)
    #expect(keys.first == "continual.severity-3.source.seed-1")
    #expect(keys.last == "gradual.tent.seed-2")
  }
  @Test func differencesAreNamed() throws {
    var other = configuration()
    #expect(try configuration().difference(from: other) == nil)
    other.seeds = [1]
    let difference = try #require(try configuration().difference(from: other))
    #expect(difference == ("seeds", "[1, 2]", "[1]"))
  }
  @Test func gridOfTheSecondProtocol() {
    var grid = configuration()
    grid.settings = [.init(name: "online-grid")]
    (grid.severities, grid.seeds) = ([5], [1])
    let labels = grid.cells.map(\.strategy.label)
    #expect(labels.count == 1 + 9)
    #expect(labels[0] == "source" && labels[1] == "tent(lr=0.005,steps=1)")
  }
  @Test func declaredCosts() {
    func cost(_ name: String) -> Double { TimeConstraint.declaredCost(of: .init(label: name, section: .keys(["name": .text(name)]))) }
    #expect(cost("source") == 1)
    #expect(cost("tent") == 3)
    #expect(cost("sar") == 6)
  }
  /// However fast pictures arrive, the number of batches per learnt one is a number.
  @Test func periodsOfExtremeRates() {
    #expect([1e300, 2.5, 1e-300, .infinity].map { TimeConstraint.period(cost: 3, interval: 1 / $0) } == [1_000_000, 8, 1, 1])
  }
  @Test func resetRules() throws {
    #expect(try ResetRule(nil, setting: .eachDomain) == .eachDomain)
    #expect(try ResetRule(.text("never"), setting: .eachDomain) == .never)
    #expect(try ResetRule(.keys(["every": .number(5)]), setting: .never) == .every(5))
    #expect {
      try ResetRule(.text("sometimes"), setting: .never)
    } throws: { error in
      (error as? TTAError)?.message == "strategy reset: expected never, each-batch, each-domain or {every: N}, got \"sometimes\""
    }
  }
}
