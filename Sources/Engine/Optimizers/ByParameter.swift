// Values by parameter that are always stored in the same order.

/// Values by parameter. Coded in the order of the parameters: a dictionary is in another order in every process, and equal states would be other bytes.
struct ByParameter<Value: Codable & Sendable>: Codable, Sendable {
  var values: [ParameterID: Value] = [:]

  init() {}
  init(from decoder: any Decoder) throws { values = try Dictionary(from: decoder) }
  /// As a dictionary: keys and values in turn.
  func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    for (id, value) in values.sorted(by: { $0.key < $1.key }) {
      try container.encode(id)
      try container.encode(value)
    }
  }
}
