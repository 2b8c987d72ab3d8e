// The one line that long work shows.

import Engine
import Foundation

/// One line on a terminal, drawn over itself at most ten times a second; nothing elsewhere.
struct ProgressLine {
  private let isShown: Bool, isColored: Bool
  private var lastDrawn: ContinuousClock.Instant?

  /// `quiet` shows nothing anywhere. Colour is left out where NO_COLOR is set and on terminals that have none.
  init(quiet: Bool) {
    let environment = ProcessInfo.processInfo.environment
    isShown = !quiet && Console.isTerminal
    isColored = environment["NO_COLOR"].map(\.isEmpty) ?? true && environment["TERM"] != "dumb"
  }

  /// Draws `left  ██████░░░░  62 %  right` over the line before.
  mutating func draw(_ left: String, done: Double, _ right: String) {
    let now = ContinuousClock.now
    guard isShown, lastDrawn.map({ now - $0 >= .milliseconds(100) }) ?? true else { return }
    lastDrawn = now
    let filled = max(0, min(10, Int(done * 10)))
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 10 - filled)
    let percent = String(repeating: " ", count: done < 0.1 ? 2 : done < 1 ? 1 : 0) + "\(Int(done * 100)) %"
    let plain = String("\(left)  \(bar)  \(percent)  \(right)".prefix(max(1, Self.columns - 1)))
    Console.progress("\r\u{1B}[K" + (isColored ? plain.replacing(bar, with: "\u{1B}[36m\(bar)\u{1B}[0m") : plain))
  }
  /// Takes the line away.
  mutating func clear() {
    if lastDrawn != nil { Console.progress("\r\u{1B}[K") }
    lastDrawn = nil
  }
  /// Columns of the terminal; 80 where it does not say.
  private static var columns: Int {
    var size = winsize()
    return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }
}
