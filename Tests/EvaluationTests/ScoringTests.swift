// The arithmetic of scores.

import Engine
import Evaluation
import Foundation
import Streams
import Testing

@Suite struct TallyTests {
  @Test func countsPerClass() {
    var tally = Tally(classes: 3)
    tally.add(predicted: [0, 1, 1, 2], labels: [0, 0, 1, 1], seconds: 2)
    #expect(tally.classImages == [2, 2, 0])
    #expect(tally.classErrors == [1, 1, 0])
    #expect((tally.images, tally.errors) == (4, 2))
    #expect(tally.errorPercent == 50)
    #expect(tally.imagesPerSecond == 2)
  }
  @Test func classesThatDidNotOccurHaveNoWeight() {
    var tally = Tally(classes: 3)
    tally.add(predicted: [0, 0, 0, 0], labels: [0, 0, 0, 1], seconds: 1)
    #expect(tally.errorPercent == 25)
    #expect(tally.classBalancedErrorPercent == 50)
  }
  @Test func unknownClassesAreAnsweredButNotJudged() {
    var tally = Tally(classes: 2)
    tally.add(predicted: [0, 1, 1], labels: [0, -1, 0], seconds: 1)
    #expect((tally.answered, tally.images, tally.errors) == (3, 2, 1))
  }
  @Test func standardErrorIsThatOfAShare() {
    var tally = Tally(classes: 1)
    tally.add(predicted: (0..<100).map { $0 < 25 ? 1 : 0 }, labels: Array(repeating: 0, count: 100), seconds: 1)
    #expect(abs(tally.standardErrorPercent - 100 * (0.25 * 0.75 / 99).squareRoot()) < 1e-12)
  }
  @Test func nothingIsZero() {
    let tally = Tally(classes: 2)
    #expect((tally.errorPercent, tally.standardErrorPercent, tally.classBalancedErrorPercent, tally.imagesPerSecond) == (0, 0, 0, 0))
  }
}

@Suite struct OnlineScoreTests {
  @Test func curveHasAPointPerBatchAndDomainsBeginAgain() throws {
    let score = try Toy.score(Toy.stream()) { domain, place in domain == 0 && place < 3 }
    #expect(score.curve.map(\.images) == [4, 6, 10, 12])
    #expect(score.curve.map(\.domainIndex) == [0, 0, 1, 1])
    #expect(score.curve.map(\.batchErrorPercent) == [75, 0, 0, 0])
    #expect(score.curve.map(\.domainErrorPercent) == [75, 50, 0, 0])
    #expect(score.curve.map(\.overallErrorPercent) == [75, 50, 30, 25])
    #expect(score.parts.map(\.domain) == Toy.domains)
    #expect(score.parts.map(\.tally.errorPercent) == [50, 0])
    #expect(score.meanErrorPercent == 25)
    #expect(score.overall.seconds == 2)
    #expect(score.overall.classErrors == [1, 1, 1])
  }
  @Test func meanGivesDomainsTheSameWeight() throws {
    let images = ToyImages(count: 6)
    let segments = [
      DomainStream.Segment(domain: Toy.domains[0], places: [0]), DomainStream.Segment(domain: Toy.domains[1], places: [1, 2, 3, 4]),
    ]
    let score = try Toy.score(DomainStream(images, segments: segments, batchSize: 4)) { domain, _ in domain == 0 }
    #expect(score.meanErrorPercent == 50)
    #expect(score.overall.errorPercent == 20)
  }
  @Test func survivesCoding() throws {
    let score = try Toy.score(Toy.stream()) { _, place in place == 1 }
    #expect(try JSONDecoder().decode(OnlineScore.self, from: JSONEncoder().encode(score)) == score)
  }
}

@Suite struct PictureErrorTests {
  @Test func onePictureUnderTwoCorruptionsIsOneDraw() throws {
    let stream = try Toy.stream(images: 60)
    let both = try Toy.score(stream) { _, place in place < 15 }
    let single = try Toy.score(DomainStream(ToyImages(count: 60), domains: [.clean], batchSize: 4)) { _, place in place < 15 }
    #expect(abs(both.standardErrorPercent - single.standardErrorPercent) < 1e-9)
    #expect(abs(single.standardErrorPercent - single.overall.standardErrorPercent) < 1e-9)
  }
  @Test func comparisonIsPaired() throws {
    let stream = try Toy.stream(images: 100)
    let baseline = try Toy.score(stream) { _, place in place < 50 }
    let better = try Toy.score(stream) { _, place in place < 40 }
    let comparison = baseline.pictures.comparison(with: better.pictures)
    #expect((comparison.baselineErrors, comparison.errors, comparison.images) == (100, 80, 200))
    #expect(comparison.gainPercent == 10)
    #expect(comparison.fewerErrorsPercent == 20)
    // The difference per picture is 1 for ten of a hundred: the standard error of a share of 0.1.
    #expect(abs(comparison.standardErrorPercent - 100 * (0.1 * 0.9 / 99).squareRoot()) < 1e-9)
    #expect(comparison.isClear)
  }
  @Test func noDifferenceIsNotClear() throws {
    let score = try Toy.score(Toy.stream()) { _, place in place < 2 }
    let comparison = score.pictures.comparison(with: score.pictures)
    #expect(!comparison.isClear)
    #expect(comparison.standardErrorPercent == 0)
  }
  @Test func baselineWithoutErrorsHasNoRatio() throws {
    let perfect = try Toy.score(Toy.stream()) { _, _ in false }
    #expect(perfect.pictures.comparison(with: perfect.pictures).fewerErrorsPercent == nil)
  }
}

@Suite struct FindingTests {
  private func sentence(_ errors: [(String, Int)]) throws -> String {
    let stream = try Toy.stream(images: 100)
    return Findings.sentence(try errors.map { name, wrong in try Toy.standing(name, stream) { _, place in place < wrong } })
  }
  @Test func namesTheBest() throws {
    #expect(
      try sentence([("source", 50), ("batch-norm", 45), ("tent", 40)])
        == "tent makes 20.0 % fewer errors than the frozen classifier (40.0 % instead of 50.0 %, a difference of 10.0 ± 3.0 points).")
  }
  @Test func admitsMoreErrors() throws {
    #expect(
      try sentence([("source", 50), ("tent", 60)])
        == "tent makes 20.0 % more errors than the frozen classifier (60.0 % instead of 50.0 %, a difference of 10.0 ± 3.0 points).")
  }
  @Test func admitsNoDifference() throws {
    #expect(
      try sentence([("source", 50), ("tent", 49)])
        == "tent and the frozen classifier do not clearly differ on these pictures: 49.0 % instead of 50.0 %.")
  }
  @Test func worksWithoutTheBaseline() throws {
    #expect(try sentence([("batch-norm", 45), ("tent", 40)]) == "tent has the lowest mean error: 40.0 %.")
    #expect(try sentence([("source", 45)]) == "The frozen classifier errs on 45.0 % of the pictures.")
  }
  @Test func worksWithoutPictures() { #expect(Findings.sentence([]) == "No labelled picture was answered.") }
}

@Suite struct AnswerCountsTests {
  @Test func sharesAndTheCommonestMistake() throws {
    var counts = AnswerCounts(classes: 3)
    #expect(counts.sharePercent(of: 0) == nil && counts.commonestMistake == nil)
    counts.add(predicted: [0, 0, 1, 2], labels: [0, 1, 1, 1])
    // Unknown pictures are answers, but no mistakes.
    counts.add(predicted: [2, 2], labels: [-1, 1])
    for (label, times) in [2.0, 1, 3].enumerated() { #expect(counts.sharePercent(of: label) == 100 * times / 6) }
    let mistake = try #require(counts.commonestMistake)
    #expect(mistake.label == 1 && mistake.answer == 2 && mistake.percent == 50)
    var sum = AnswerCounts(classes: 3)
    sum.add(counts)
    sum.add(counts)
    #expect(sum.answers == [4, 2, 6] && sum.commonestMistake?.percent == 50)
  }
  @Test func manyClassesKeepNoPairs() {
    var counts = AnswerCounts(classes: AnswerCounts.mostPairedClasses + 1)
    counts.add(predicted: [100], labels: [1])
    #expect(counts.answers[100] == 1 && counts.commonestMistake == nil)
  }
}
