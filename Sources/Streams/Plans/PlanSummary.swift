// A plan in words.

public import Engine

extension StreamPlan {
  /// What a dry run prints: the setting, how many pictures per class and domain, the first and the last of them.
  ///
  /// Throws where the plan was made for other contents.
  public func summary(of contents: StreamContents, classNames: [String]? = nil) throws(TTAError) -> [String] {
    try check(contents)
    let kind = try SettingKind.named(setting)
    let optionText = options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    var lines = [
      "setting     \(kind.name): \(kind.summary)",
      "source      \(kind.source)",
      "options     \(optionText.isEmpty ? "none" : optionText)",
      "seed        \(seed)",
      "pictures    \(count) in \(segments.count) \(segments.count == 1 ? "part" : "parts") of a data set of \(pictures)",
      "resets      \(resets.rawValue)",
    ]
    if let arrival { lines.append("arrival     a picture every \(arrival.interval) \(arrival.unit.rawValue)") }
    func name(_ label: Int) -> String {
      if label < 0 { return "unknown" }
      if let classNames, classNames.indices.contains(label) { return classNames[label] }
      return "\(label)"
    }
    if !contents.labels.isEmpty {
      let counts = self.counts { contents.labels[$0.place] }.sorted { $0.key < $1.key }
      lines.append("per class   " + Self.list(counts.map { "\(name($0.key)) \($0.value)" }))
    }
    var order = [Domain]()
    for segment in segments { for domain in segment.allDomains where order.count < 200 && !order.contains(domain) { order.append(domain) } }
    let domains = counts { $0.domain }
    lines.append("per domain  " + Self.list(order.map { "\($0): \(domains[$0] ?? 0)" }, total: domains.count))
    func items(_ positions: Range<Int>) -> String {
      positions.map { position in
        let item = item(at: position)
        return "\(item.place)" + (contents.labels.isEmpty ? "" : " (\(name(contents.labels[item.place])))")
      }.joined(separator: ", ")
    }
    let ends = min(count, 8)
    if ends > 0 {
      lines.append("first       \(items(0..<ends)); \(item(at: 0).domain)")
      lines.append("last        \(items(count - ends..<count)); \(item(at: count - 1).domain)")
    }
    return lines
  }

  /// The picture at a position of the stream.
  public func item(at position: Int) -> StreamItem {
    precondition((0..<count).contains(position), "picture \(position) of \(count)")
    var left = position
    var number = 0
    while left >= segments[number].places.count {
      left -= segments[number].places.count
      number += 1
    }
    return StreamItem(place: segments[number].places[left], domain: segments[number].domain(at: left))
  }

  /// How many pictures of the stream have each property.
  func counts<Property: Hashable>(_ property: (StreamItem) -> Property) -> [Property: Int] {
    var counts = [Property: Int]()
    for segment in segments {
      for (position, place) in segment.places.enumerated() {
        counts[property(StreamItem(place: place, domain: segment.domain(at: position))), default: 0] += 1
      }
    }
    return counts
  }

  private static func list(_ texts: [String], total: Int? = nil) -> String {
    let shown = texts.prefix(20).joined(separator: ", ")
    let left = (total ?? texts.count) - min(texts.count, 20)
    return left > 0 ? "\(shown) and \(left) more" : shown
  }
}
