// The page of a replay in a real browser.

import Foundation
import Testing

/// Chromium without a window.
private enum Browser {
  static let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").lazy.flatMap { folder in
    ["chromium", "chromium-browser", "google-chrome"].map { "\(folder)/\($0)" }
  }.first { FileManager.default.isExecutableFile(atPath: $0) }

  /// The document of a page after its scripts ran, and what the browser's console said.
  static func document(of page: String, isDark: Bool) throws -> (html: String, console: String) {
    let folder = try TemporaryFolder()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path ?? "")
    process.arguments = [
      "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,1000", "--enable-logging=stderr",
      "--disable-background-networking",
      "--user-data-dir=" + folder.path("profile"), "--blink-settings=preferredColorScheme=\(isDark ? 0 : 1)", "--virtual-time-budget=5000",
      "--dump-dom", "file://" + page,
    ]
    for name in ["out", "err"] { _ = FileManager.default.createFile(atPath: folder.path(name), contents: nil) }
    process.standardOutput = FileHandle(forWritingAtPath: folder.path("out"))
    process.standardError = FileHandle(forWritingAtPath: folder.path("err"))
    try process.run()
    process.waitUntilExit()
    func text(_ name: String) throws -> String {
      String(decoding: try Data(contentsOf: URL(fileURLWithPath: folder.path(name))), as: UTF8.self)
    }
    return (try text("out"), try text("err").split(separator: "\n").filter { $0.contains("CONSOLE") }.joined(separator: "\n"))
  }
}

/// What a script found on a page.
private struct Measurements: Decodable {
  struct Frame: Decodable { var left: Double, right: Double, height: Double }
  /// Width of the window and of everything in it.
  var window: Double, content: Double
  /// Points of every line, and how many of them lie outside their chart.
  var points: [Int], outside: Int
  /// Where bubbles and fields are.
  var bubbles: [Frame], fields: [Frame]
  /// Texts of charts that are cut off by the window.
  var cutTexts: [String]
  /// What was fetched, and what scripts said.
  var fetched: [String], errors: [String]
  /// Regions that scroll but cannot be reached by keyboard, and tables without a caption.
  var unreachable: Int, bareTables: Int
  var background: String, color: String
}

@Suite(
  .enabled(if: Tool.hasModel, "\(Tool.untrained)"), .enabled(if: Browser.path != nil, "no Chromium on the PATH: apt-get install chromium"),
  .serialized)
struct ReportPageTests {
  private static let script = """
    <script>
    const errors = []
    addEventListener('error', event => errors.push(event.message))
    addEventListener('load', () => {
      const all = selector => [...document.querySelectorAll(selector)]
      for (const part of all('details')) part.open = true
      const frame = element => { const box = element.getBoundingClientRect(); return {left: box.left, right: box.right, height: box.height} }
      let outside = 0
      for (const line of all('polyline')) {
        const box = line.ownerSVGElement.getBoundingClientRect(), matrix = line.getScreenCTM()
        for (const point of line.points) {
          const place = point.matrixTransform(matrix)
          if (place.x < box.left - 1 || place.x > box.right + 1 || place.y < box.top - 1 || place.y > box.bottom + 1) outside += 1
        }
      }
      const shown = all('.chart text').filter(text => getComputedStyle(text).display != 'none')
      const style = getComputedStyle(document.body)
      parent.postMessage({
        window: innerWidth, content: document.documentElement.scrollWidth, points: all('polyline').map(line => line.points.numberOfItems),
        outside, bubbles: all('.bubble').map(frame), fields: all('.heat rect').map(frame),
        cutTexts: shown.filter(text => frame(text).left < -1 || frame(text).right > innerWidth + 1).map(text => text.textContent),
        fetched: performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith('data:')), errors,
        unreachable: all('.scroll, pre').filter(region => region.tabIndex < 0).length,
        bareTables: all('table').filter(table => !table.caption || !table.caption.textContent).length,
        background: style.backgroundColor, color: style.color
      }, '*')
    })
    </script>
    """

  /// Opens a page in a frame of a width: browsers without a window have a least width that phones do not have.
  private func measure(_ page: String, width: Int, isDark: Bool = false, in folder: borrowing TemporaryFolder) throws -> Measurements {
    let html = try String(contentsOfFile: page, encoding: .utf8)
    try html.replacing("</body>", with: Self.script + "</body>").write(
      toFile: folder.path("inner.html"), atomically: true, encoding: .utf8)
    let outer = """
      <!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
      <iframe src="inner.html" width="\(width)" height="900" style="border: 0"></iframe><pre id="measured"></pre>
      <script>addEventListener('message', event => document.getElementById('measured').textContent = btoa(unescape(encodeURIComponent(JSON.stringify(event.data)))))</script>
      """
    try outer.write(toFile: folder.path("outer.html"), atomically: true, encoding: .utf8)
    let (document, console) = try Browser.document(of: folder.path("outer.html"), isDark: isDark)
    #expect(console == "")
    let text = try #require(document.firstMatch(of: /<pre id="measured">([^<]+)</), "no measurements: \(document.suffix(300))")
    return try JSONDecoder().decode(Measurements.self, from: #require(Data(base64Encoded: String(text.output.1))))
  }

  @Test func chartsHaveTheirPointsAtEveryWidthAndNothingIsFetched() throws {
    let folder = try TemporaryFolder()
    let result = try runTTA(ReplayTests.small + ["--severities", "3,5", "--output", folder.path("out")])
    #expect(result.code == 0, "\(result.stderr)")
    let rows = try String(contentsOfFile: folder.path("out/curves.csv"), encoding: .utf8).split(separator: "\n").count - 1
    for (width, isDark) in [(400, false), (400, true), (1100, false)] {
      let page = try measure(folder.path("out/report.html"), width: width, isDark: isDark, in: folder)
      #expect(page.window == Double(width) && page.content <= page.window, "\(page.content) of \(width) pixels")
      // Error, entropy and drift: every batch of every strategy at both severities, three times.
      #expect(page.points == Array(repeating: 6, count: 18) && page.points.reduce(0, +) == 3 * rows)
      #expect(page.outside == 0)
      #expect(page.bubbles.count == 6 && page.bubbles.allSatisfy { $0.height >= 10 && $0.left >= -1 && $0.right <= page.window + 1 })
      #expect(page.fields.count > 100 && page.fields.allSatisfy { $0.height > 10 && $0.right > $0.left })
      #expect(page.cutTexts == [])
      #expect(page.fetched == [] && page.errors == [])
      #expect(page.unreachable == 0 && page.bareTables == 0)
      #expect((page.background == "rgb(20, 23, 28)") == isDark && page.background != page.color)
    }
  }
}
