// Weights that lie in a mapped file, and the memory they give back once they are packed.

import Engine
import Foundation
import ModelIO
import Testing

@Suite struct MappedWeightsTests {
  private func temporary(_ bytes: [UInt8]) throws -> MappedFile {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("tta-\(UUID().uuidString).bytes").path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try MappedFile(path: path)
  }

  @Test func pagesLieWhollyWithin() throws {
    let page = Int(getpagesize())
    let file = try temporary([UInt8](repeating: 7, count: 4 * page))
    let start = Int(bitPattern: file.bytes.baseAddress)
    /// First page and number of pages of a part of the file.
    func pages(_ part: Range<Int>) -> [Int] {
      let pages = file.pages(within: UnsafeRawBufferPointer(rebasing: file.bytes[part]))
      return pages.isEmpty ? [] : [(Int(bitPattern: pages.baseAddress) - start) / page, pages.count / page]
    }
    #expect(pages(0..<4 * page) == [0, 4])
    #expect(pages(1..<4 * page - 1) == [1, 2])
    #expect(pages(page..<2 * page) == [1, 1])
    #expect(pages(page..<2 * page - 1) == [])
    #expect(pages(page - 1..<page + 1) == [])
    #expect(pages(5..<5) == [])
  }
  @Test func givenBackBytesAreReadAgain() throws {
    let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * 31 + $0 >> 8) }
    let file = try temporary(bytes)
    for part in [0..<100_000, 4_097..<90_001, 3..<5, 0..<0] {
      file.giveBack(UnsafeRawBufferPointer(rebasing: file.bytes[part]))
      #expect(Array(file.bytes) == bytes, "after \(part)")
    }
  }
  /// The same values and answers as from memory, before and after the weights were packed and gave their pages back.
  @Test(arguments: ["cifar-resnet14", "vit-tiny-patch16-224"]) func mappedWeightsAnswerTheSame(_ name: String) throws {
    let graph = try Architecture.named(name).graph(ArchitectureConfiguration(classes: 7, inputSize: name == "cifar-resnet14" ? 32 : 224))
    let (model, mapped) = (try RandomWeights.model(graph, seed: 5), try RandomWeights.modelInFile(graph, seed: 5))
    #expect(mapped.parameters == model.parameters)
    let images = Tensor(
      (0..<2 * graph.inputShape.elementCount).map { Float($0 % 251) / 251 }, shape: Shape([2] + graph.inputShape.dimensions))
    let executor = Executor(threads: 2)
    let program = Program(graph)
    let expected = try executor.forward(images, Program(graph), at: model.parameters, ForwardOptions()).logits.values
    for _ in 0..<2 { #expect(try executor.forward(images, program, at: mapped.parameters, ForwardOptions()).logits.values == expected) }
    #expect(mapped.parameters == model.parameters)
  }
  /// The same gradients, too: the backward turns round what the forward keeps packed.
  @Test(arguments: [Lowering.reference, .exact, .fast]) func gradientsWithMappedWeightsAreTheSame(_ lowering: Lowering) throws {
    let graph = try Architecture.named("vit-tiny-patch16-224").graph(ArchitectureConfiguration(classes: 7, inputSize: 224))
    let (model, mapped) = (try RandomWeights.model(graph, seed: 6), try RandomWeights.modelInFile(graph, seed: 6))
    let images = Tensor(
      (0..<3 * graph.inputShape.elementCount).map { Float($0 % 241) / 241 }, shape: Shape([3] + graph.inputShape.dimensions))
    let norms = graph.parameters.filter { $0.role == .normScale }.map(\.id)
    let (executor, program) = (Executor(threads: 2, lowering: lowering), Program(graph))
    func gradients(_ parameters: Parameters, of program: Program) throws -> [[Float]] {
      let pass = try executor.record(images, program, at: parameters, differentiating: ParameterSet(norms), ForwardOptions())
      let seed = OutputGradient([.logits: pass.output.logits])
      var gradients = Gradients()
      try executor.backpropagate(pass, from: seed, into: &gradients)
      return norms.map { gradients[$0]?.values ?? [] }
    }
    let expected = try gradients(model.parameters, of: Program(graph))
    #expect(expected.joined().contains { $0 != 0 })
    for _ in 0..<2 { #expect(try gradients(mapped.parameters, of: program) == expected) }
  }
}
