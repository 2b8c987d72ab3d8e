// A line chart as inline SVG that keeps its text size at any width.

import Engine

/// Lines over bands of a common axis, as inline SVG.
///
/// Lines live in a stretched coordinate system of their own, text and marks are placed in per cent: the chart fits any width and its text
/// keeps its size. Colours come from the page's CSS variables `--series-0`, `--series-1`, ….
public struct LineChart: Sendable {
  /// A point: position on the common axis, and value.
  public struct Point: Hashable, Sendable {
    /// Position and value.
    public var x: Double, y: Double
    /// A point.
    public init(x: Double, y: Double) { (self.x, self.y) = (x, y) }
  }
  /// A line.
  public struct Series: Sendable {
    /// What it shows.
    public var name: String
    /// Its points from left to right.
    public var points: [Point]
    /// A line.
    public init(name: String, points: [Point]) { (self.name, self.points) = (name, points) }
  }
  /// A part of the common axis.
  public struct Band: Sendable {
    /// What it is called.
    public var name: String
    /// Where it begins and ends.
    public var start: Double, end: Double
    /// A part.
    public init(name: String, start: Double, end: Double) { (self.name, self.start, self.end) = (name, start, end) }
  }
  /// Something that happened at a place of the common axis.
  public struct Event: Sendable {
    /// Where.
    public var x: Double
    /// Number of the line that it belongs to.
    public var series: Int
    /// What happened.
    public var text: String
    /// An event.
    public init(x: Double, series: Int, text: String) { (self.x, self.series, self.text) = (x, series, text) }
  }
  /// What the chart shows, for those who cannot see it.
  public var title: String
  /// What the common axis counts.
  public var xTitle: String
  /// Behind every value: ` %`.
  public var unit: String
  /// Parts of the common axis, from left to right.
  public var bands: [Band]
  /// The lines; they keep colours and dashes by their positions.
  public var series: [Series]
  /// Marks at the lower edge.
  public var events: [Event] = []
  /// Of the plot, in pixels.
  public var height = 320

  /// Colours and dashes that the page's style has; later lines start again.
  public static let styleCount = 8

  /// A chart.
  public init(title: String, xTitle: String, unit: String, bands: [Band], series: [Series]) {
    (self.title, self.xTitle, self.unit, self.bands, self.series) = (title, xTitle, unit, bands, series)
  }

  private var xEnd: Double { max(bands.map(\.end).max() ?? 0, series.flatMap(\.points).map(\.x).max() ?? 0, 1) }
  private var yAxis: AxisScale { AxisScale(largest: series.flatMap(\.points).map(\.y).max() ?? 0) }

  /// The `<svg>` element.
  public var svg: String {
    let (xEnd, yAxis) = (xEnd, yAxis)
    let top = Double(height)
    func across(_ x: Double) -> String { Numbers.decimals(100 * x / xEnd, 3) + "%" }
    func down(_ y: Double) -> String { Numbers.decimals(top - top * y / yAxis.end, 1) }
    var lines = [
      "<svg class=\"chart\(bands.count > Self.styleCount ? " crowded" : "")\" role=\"img\" aria-label=\"\(HTMLText.escaped(title))\" "
        + "width=\"100%\" height=\"\(height)\">"
    ]
    for (number, band) in bands.enumerated() {
      lines.append(
        "<rect class=\"band\(number % 2)\" x=\"\(across(band.start))\" y=\"0\" width=\"\(across(band.end - band.start))\" "
          + "height=\"\(height)\"><title>\(HTMLText.escaped(tooltip(band)))</title></rect>")
      lines.append(
        "<text class=\"band-name\" x=\"\(across((band.start + band.end) / 2))\" y=\"-10\">\(HTMLText.escaped(band.name))</text>")
    }
    for tick in yAxis.ticks {
      lines.append("<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"\(down(tick))\" y2=\"\(down(tick))\"/>")
      lines.append(
        "<text class=\"y-tick\" x=\"-8\" y=\"\(down(tick))\" dy=\"0.35em\">\(yAxis.text(tick))\(HTMLText.escaped(unit))</text>")
    }
    let xAxis = AxisScale(largest: xEnd, count: 6, endsAtData: true)
    for (number, tick) in xAxis.ticks.enumerated() {
      lines.append("<line class=\"tick\" x1=\"\(across(tick))\" x2=\"\(across(tick))\" y1=\"\(height)\" y2=\"\(height + 5)\"/>")
      let kind = number % 2 == 0 ? "x-tick" : "x-tick minor"
      lines.append("<text class=\"\(kind)\" x=\"\(across(tick))\" y=\"\(height + 20)\">\(xAxis.text(tick))</text>")
    }
    lines.append("<text class=\"x-title\" x=\"50%\" y=\"\(height + 40)\">\(HTMLText.escaped(xTitle))</text>")
    lines.append("<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" width=\"100%\" height=\"\(height)\">")
    for (number, line) in series.enumerated() {
      let points = line.points.map { "\(Numbers.decimals(1000 * $0.x / xEnd, 1)),\(Numbers.decimals(1000 - 1000 * $0.y / yAxis.end, 1))" }
      lines.append(
        "<polyline class=\"line series-\(number % Self.styleCount)\" points=\"\(points.joined(separator: " "))\">"
          + "<title>\(HTMLText.escaped(line.name))</title></polyline>")
    }
    lines.append("</svg>")
    for (number, line) in series.enumerated() {
      for (band, point) in ends(of: line) {
        let text = "\(line.name), \(band.name): \(value(point.y))\(unit)"
        lines.append(
          "<circle class=\"mark series-\(number % Self.styleCount)\" cx=\"\(across(point.x))\" cy=\"\(down(point.y))\" r=\"4\">"
            + "<title>\(HTMLText.escaped(text))</title></circle>")
      }
    }
    for event in events {
      lines.append(
        "<rect class=\"event mark series-\(event.series % Self.styleCount)\" x=\"\(across(event.x))\" y=\"\(height - 14)\" "
          + "width=\"5\" height=\"14\"><title>\(HTMLText.escaped(event.text))</title></rect>")
    }
    lines.append("</svg>")
    return lines.joined(separator: "\n")
  }

  /// A short piece of a line as it is drawn, for legends.
  public static func sample(_ number: Int) -> String {
    "<svg class=\"sample\" width=\"30\" height=\"10\" aria-hidden=\"true\">"
      + "<line class=\"line series-\(number % styleCount)\" x1=\"2\" y1=\"5\" x2=\"28\" y2=\"5\"/></svg>"
  }

  /// The last point of a line in every band that it reached.
  private func ends(of line: Series) -> [(Band, Point)] {
    bands.compactMap { band in line.points.last { $0.x > band.start && $0.x <= band.end }.map { (band, $0) } }
  }
  private func tooltip(_ band: Band) -> String {
    let values = series.compactMap { line in
      line.points.last { $0.x > band.start && $0.x <= band.end }.map { "\(line.name) \(value($0.y))\(unit)" }
    }
    return ([band.name] + values).joined(separator: "\n")
  }
  /// A value with a decimal more than the ticks have.
  private func value(_ value: Double) -> String { Numbers.decimals(value, max(1, yAxis.decimals + 1)) }
}
