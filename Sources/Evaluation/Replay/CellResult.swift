// What a finished cell leaves.

/// What a finished cell leaves: the content of `cells/KEY.json`.
public struct CellResult: Codable, Hashable, Sendable {
  /// Times, which no two runs share.
  public struct Timing: Codable, Hashable, Sendable {
    /// From the first batch to the last, in seconds.
    public var seconds = 0.0
    /// Waiting for pictures, in seconds.
    public var waitingSeconds = 0.0
    /// The same in per cent of the time of each finished domain.
    public private(set) var waitingPercents: [Double] = []
    private var domainStart = 0.0, domainWaitingStart = 0.0
    /// Nothing yet.
    public init() {}
    /// Ends a domain; `seconds` of its last batch are not in the sum yet.
    mutating func endDomain(lastBatch seconds: Double) {
      let end = self.seconds + seconds
      let elapsed = end - domainStart
      waitingPercents.append(elapsed > 0 ? 100 * (waitingSeconds - domainWaitingStart) / elapsed : 0)
      (domainStart, domainWaitingStart) = (end, waitingSeconds)
    }
  }
  /// The cell.
  public var cell: ReplayCell
  /// What was counted.
  public var score: CellScore
  /// When the method started again, in words.
  public var resets: String
  /// Where predictions come from, in words.
  public var answers: String
  /// Whether labels chose among answers: an upper bound.
  public var usesLabels: Bool
  /// Declared cost and period, where pictures do not wait.
  public var constraint: TimeConstraint?
  /// Times.
  public var timing: Timing
}
