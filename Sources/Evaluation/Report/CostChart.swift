// Cost against error.

import Engine
import Foundation

/// Points of two numbers and a size, as inline SVG that keeps its text size at any width.
public struct CostChart: Sendable {
  /// One strategy.
  public struct Point: Sendable {
    /// What it is called.
    public var name: String
    /// Time per image in milliseconds, error in per cent, memory in bytes.
    public var milliseconds: Double, error: Double, memory: Int
    /// Number of its colour.
    public var series: Int
    /// A point.
    public init(name: String, milliseconds: Double, error: Double, memory: Int, series: Int) {
      (self.name, self.milliseconds, self.error, self.memory, self.series) = (name, milliseconds, error, memory, series)
    }
  }
  /// What it shows, for those who cannot see it.
  public var title: String
  /// The points.
  public var points: [Point]
  private static let height = 280

  /// A chart.
  public init(title: String, points: [Point]) { (self.title, self.points) = (title, points) }

  /// The `<svg>` element.
  public var svg: String {
    let x = AxisScale(largest: (points.map(\.milliseconds).max() ?? 1) * 1.08)
    let y = AxisScale(largest: (points.map(\.error).max() ?? 1) * 1.05)
    let largest = Double(points.map(\.memory).max() ?? 1)
    func across(_ value: Double) -> String { Numbers.decimals(100 * value / x.end, 3) + "%" }
    func down(_ value: Double) -> String { Numbers.decimals(Double(Self.height) * (1 - value / y.end), 1) }
    var lines = [
      "<svg class=\"chart\" role=\"img\" aria-label=\"\(HTMLText.escaped(title))\" width=\"100%\" height=\"\(Self.height)\">"
    ]
    for tick in y.ticks {
      lines.append("<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"\(down(tick))\" y2=\"\(down(tick))\"/>")
      lines.append("<text class=\"y-tick\" x=\"-8\" y=\"\(down(tick))\" dy=\"0.35em\">\(y.text(tick)) %</text>")
    }
    for (number, tick) in x.ticks.enumerated() {
      let kind = number % 2 == 0 ? "x-tick" : "x-tick minor"
      lines.append("<line class=\"tick\" x1=\"\(across(tick))\" x2=\"\(across(tick))\" y1=\"\(Self.height)\" y2=\"\(Self.height + 5)\"/>")
      lines.append("<text class=\"\(kind)\" x=\"\(across(tick))\" y=\"\(Self.height + 20)\">\(x.text(tick))</text>")
    }
    lines.append("<text class=\"x-title\" x=\"50%\" y=\"\(Self.height + 40)\">milliseconds per image</text>")
    for point in points {
      let radius = 5 + 13 * (largest > 0 ? (Double(point.memory) / largest).squareRoot() : 0)
      let text =
        "\(point.name): \(Numbers.decimals(point.error, 1)) %, \(Numbers.decimals(point.milliseconds, 3)) ms per image, "
        + Numbers.bytes(point.memory)
      lines.append(
        "<circle class=\"bubble series-\(point.series % LineChart.styleCount)\" cx=\"\(across(point.milliseconds))\" "
          + "cy=\"\(down(point.error))\" r=\"\(Numbers.decimals(radius, 1))\"><title>\(HTMLText.escaped(text))</title></circle>")
      lines.append(label(point, at: across(point.milliseconds), y: down(point.error), isRight: point.milliseconds > 0.6 * x.end, radius))
    }
    lines.append("</svg>")
    return lines.joined(separator: "\n")
  }
  private func label(_ point: Point, at x: String, y: String, isRight: Bool, _ radius: Double) -> String {
    let shift = Numbers.decimals(isRight ? -radius - 4 : radius + 4, 1)
    return "<text class=\"bubble-name\" x=\"\(x)\" y=\"\(y)\" dx=\"\(shift)\" dy=\"0.35em\" text-anchor=\"\(isRight ? "end" : "start")\">"
      + "\(HTMLText.escaped(point.name))</text>"
  }
}
