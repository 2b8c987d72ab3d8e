// How far what was learnt has moved from the source model.

import Engine

extension Parameters {
  /// Distance of the parameters of a set from those of a source as a share of the source's length: 0 where nothing moved or the set is empty.
  ///
  /// ‖θ − θ₀‖ / ‖θ₀‖ over all elements of the set, summed in double in the order of the set. Reads each element once.
  func drift(from source: Parameters, over set: ParameterSet) -> Double {
    var (moved, length) = (0.0, 0.0)
    for id in set.ids {
      self[id].withSpan { now in
        source[id].withSpan { start in
          for i in now.indices {
            let difference = Double(now[i] - start[i])
            moved += difference * difference
            length += Double(start[i]) * Double(start[i])
          }
        }
      }
    }
    return length > 0 ? (moved / length).squareRoot() : 0
  }
}
