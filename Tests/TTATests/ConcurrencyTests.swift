// Streams that share a program.

import Engine
import Foundation
import Synchronization
import TTA
import Testing

@Suite struct ConcurrencyTests {
  /// More networks than packed weights are kept for, at the same time, on one program: each answers as if it were alone.
  @Test func networksShareAProgram() throws {
    let model = try Fixtures.model()
    let images = Fixtures.images(3, model)
    let weights = try model.graph.resolve(.role(.weight))
    let networks: [Parameters] = (0..<9).map { index in
      var network = model.parameters
      for id in weights.ids {
        network.update(id) { tensor in tensor.update { span in for i in span.indices { span[i] *= 1 + 0.05 * Float(index) } } }
      }
      return network
    }
    let alone = try networks.map { try Executor(threads: 1).forward(images, Program(model.graph), at: $0, ForwardOptions()).logits }
    let program = Program(model.graph)
    let wrong = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 4) { worker in
      let executor = Executor(threads: 1)
      for round in 0..<18 {
        let index = (round + 2 * worker) % networks.count
        let got = try? executor.forward(images, program, at: networks[index], ForwardOptions()).logits
        if got != alone[index] { wrong.withLock { $0.append("worker \(worker), network \(index)") } }
      }
    }
    #expect(wrong.withLock { $0 } == [])
  }
}
