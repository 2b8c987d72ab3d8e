// Whose memory values lie in when they are copied, and what optimisers keep.

import Engine
import Foundation
import Testing

@Suite struct ParametersTests {
  private func address(_ parameters: Parameters) -> UInt { parameters[ParameterID(0)].withPointer { UInt(bitPattern: $0) } }
  private let set = ParameterSet([ParameterID(0)])
  private func parameters(_ values: [Float]) -> Parameters { Parameters([Tensor(values, shape: [values.count])]) }

  /// A reset of values that nobody else holds takes no memory.
  @Test func copiesInPlace() {
    let source = parameters([1, 2, 3])
    var own = parameters([4, 5, 6])
    let before = address(own)
    own.copy(from: source, over: set)
    #expect(own == source && address(own) == before && address(own) != address(source))
    own.update(ParameterID(0)) { $0.update { $0[0] = 9 } }
    #expect(source == parameters([1, 2, 3]))
  }
  /// Where a snapshot holds the values it keeps them, and the source's are shared.
  @Test func snapshotsKeepTheirValues() {
    let source = parameters([1, 2, 3])
    var own = parameters([4, 5, 6])
    let snapshot = own
    own.copy(from: source, over: set)
    #expect(snapshot == parameters([4, 5, 6]) && own == source && address(own) == address(source))
    own.copy(from: source, over: set)
    #expect(address(own) == address(source))
  }
  @Test func separateValuesAreEqual() {
    let source = parameters([1, 2, 3])
    var own = source
    own.separate(set)
    #expect(own == source && address(own) != address(source))
    let before = address(own)
    own.separate(set)
    #expect(address(own) == before)
  }
  /// Plain gradient descent keeps nothing, with momentum one value each.
  @Test(arguments: [0, 0.9] as [Float]) func velocityOnlyWithMomentum(_ momentum: Float) throws {
    var own = parameters([1, 2, 3])
    var optimizer = SGD(learningRate: 0.5, momentum: momentum)
    for _ in 0..<2 { optimizer.step(&own, Gradients([ParameterID(0): Tensor([2, 4, 6], shape: [3])]), rates: RateScales()) }
    let expected: [Float] = momentum == 0 ? [-1, -2, -3] : [-1.9, -3.8, -5.7]
    #expect(zip(own[ParameterID(0)].values, expected).allSatisfy { abs($0 - $1) < 1e-6 })
    let (encoder, table) = (JSONEncoder(), StateTable(source: Parameters()))
    encoder.userInfo[.stateTable] = table
    _ = try encoder.encode(optimizer)
    #expect(table.tensors.count == optimizer.keptPerValue && table.tensors.isEmpty == (momentum == 0))
  }
}
