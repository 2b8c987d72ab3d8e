// How far a stream has moved from its source.

import Engine
import TTA
import Testing

@Suite struct DriftTests {
  @Test func isTheRelativeDistanceOfWhatLearns() throws {
    let model = try Fixtures.model()
    var stream = try AdaptationRuntime(model, Tent())
    #expect(stream.drift == 0)
    let executor = Executor(threads: 1)
    for batch in Fixtures.batches(2, of: 8, model) { _ = try stream.process(batch, on: executor) }
    var (moved, length) = (0.0, 0.0)
    for id in stream.adapted.ids {
      for (now, start) in zip(stream.state.parameters[id].values, model.parameters[id].values) {
        moved += (Double(now) - Double(start)) * (Double(now) - Double(start))
        length += Double(start) * Double(start)
      }
    }
    #expect(moved > 0 && abs(stream.drift - (moved / length).squareRoot()) < 1e-6)
    stream.resetToSource()
    #expect(stream.drift == 0)
  }
  @Test func isNothingWhereNothingLearns() throws {
    let model = try Fixtures.model()
    var stream = try AdaptationRuntime(model, Source())
    _ = try stream.process(Fixtures.batches(1, of: 4, model)[0], on: Executor(threads: 1))
    #expect(stream.drift == 0)
  }
}
