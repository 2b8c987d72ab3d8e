// Report pages: what is in them and what must not be.

import Engine
import Evaluation
import Foundation
import Streams
import Testing
import Vision

@Suite struct ReportTests {
  private func page(names: [String] = ["source", "tent"], images: Int = 10) throws -> (page: ReportPage, stream: DomainStream) {
    let stream = try Toy.stream(images: images)
    let standings = try names.enumerated().map { number, name in try Toy.standing(name, stream) { _, place in place < number } }
    var page = ReportPage(title: "A page", finding: "Something.", note: "A note.", standings: standings)
    page.classNames = ["low", "mid", "high"]
    page.pictures = try ContactSheet(stream)
    page.facts = [.init("machine", "a <fast> one")]
    page.command = "tta demo --strategies source,tent"
    return (page, stream)
  }

  @Test func oneLinePerStrategyWithOnePointPerBatch() throws {
    let (page, stream) = try page(names: ["source", "batch-norm", "tent"])
    let lines = page.html.matches(of: /<polyline[^>]* points="([^"]*)"/)
    #expect(lines.count == 3)
    for line in lines { #expect(line.output.1.split(separator: " ").count == stream.count) }
  }
  @Test func contactSheetHasThePicturesOfEveryDomain() throws {
    let (page, _) = try page()
    let rows = try #require(page.pictures).rows
    #expect(rows.map(\.domain) == [.clean] + Toy.domains)
    #expect(rows.allSatisfy { $0.pictures.count == 3 })
    #expect(page.html.matches(of: #/<img /#).count == 9)
    let url = try #require(rows.first?.pictures.first?.url)
    let bytes = try #require(Data(base64Encoded: String(url.dropFirst("data:image/png;base64,".count))))
    #expect(try ImageCodec.decode([UInt8](bytes), name: "sheet") == ToyImages(count: 1).image(at: 0))
  }
  @Test func loadsNothing() throws {
    let html = try page().page.html
    #expect(!html.contains("http"))
    #expect(!html.contains("<script"))
    #expect(!html.contains("@import"))
    #expect(!html.contains("url("))
    for address in html.matches(of: /(?:src|href)="([^"]*)"/) { #expect(address.output.1.hasPrefix("data:")) }
  }
  @Test func tablesSayWhatTheirHeadersAreFor() throws {
    let html = try page().page.html
    let tables = html.matches(of: /<table/).count
    #expect(tables == 3)
    #expect(html.matches(of: /<caption>/).count == tables)
    #expect(html.matches(of: #/<th /#).count == html.matches(of: /<th scope="(row|col)">/).count)
    #expect(html.matches(of: /<img [^>]*alt="[^"]+"/).count == html.matches(of: #/<img /#).count)
  }
  @Test func everyTextIsEscaped() throws {
    let hostile = "<script>alert('x')</script>&\""
    var page = try page(names: [hostile, "b"]).page
    (page.title, page.finding, page.note, page.command) = (hostile, hostile, hostile, hostile)
    page.classNames = [hostile, hostile, hostile]
    page.facts = [.init(hostile, hostile)]
    #expect(!page.html.contains("<script"))
    #expect(!page.html.contains("alert('"))
  }
  @Test func escapesMarkupAndControlCharacters() {
    #expect(HTMLText.escaped("a<b>&\"c'\n\u{1}é") == "a&lt;b&gt;&amp;&quot;c&#39;\n\u{FFFD}é")
  }
  @Test func emptyRunMakesAPage() {
    let page = ReportPage(title: "Nothing", finding: "Nothing.", note: "", standings: [])
    #expect(page.html.hasSuffix("</html>\n"))
  }
}

@Suite struct AxisTests {
  @Test(
    arguments: [
      (89.7, [0.0, 20, 40, 60, 80, 100]), (100, [0, 20, 40, 60, 80, 100]), (24, [0, 5, 10, 15, 20, 25]), (0.3, [0, 0.1, 0.2, 0.3]),
    ] as [(Double, [Double])]) func coversTheLargestValue(_ largest: Double, _ ticks: [Double])
  {
    let axis = AxisScale(largest: largest)
    #expect(axis.ticks.count == ticks.count && zip(axis.ticks, ticks).allSatisfy { abs($0 - $1) < 1e-9 }, "\(axis.ticks)")
    #expect(axis.end >= largest - 1e-9)
  }
  @Test(arguments: [(6_000.0, 7, 6_000.0), (1_500, 7, 1_500), (606, 4, 600), (1, 6, 1)] as [(Double, Int, Double)])
  func endsAtTheData(_ largest: Double, _ count: Int, _ last: Double) {
    let axis = AxisScale(largest: largest, count: 6, endsAtData: true)
    #expect(axis.end == largest)
    #expect(axis.ticks.count == count && axis.ticks.last.map { abs($0 - last) < 1e-9 } == true, "\(axis.ticks)")
  }
  @Test(
    arguments: [(100, "20"), (9_000, "2,000"), (24, "5"), (0.3, "0.1"), (0.011, "0.0025"), (12, "2.5"), (1.2, "0.25")] as [(Double, String)]
  )
  func ticksAreToldApart(_ largest: Double, _ second: String) {
    let axis = AxisScale(largest: largest)
    #expect(axis.text(axis.ticks[1]) == second)
    #expect(Set(axis.ticks.map(axis.text)).count == axis.ticks.count)
  }
  @Test(arguments: [0, -1, .nan, .infinity] as [Double]) func hasAnAxisForNoData(_ largest: Double) {
    let axis = AxisScale(largest: largest)
    #expect(axis.end == 1 && axis.ticks.first == 0)
  }
}
