// libFuzzer target: the reader and the import of ONNX files.

import Engine
import ModelIO
import Onnx

/// One input: whatever the bytes are, the import answers with a network or with an error that says something.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOnnx(_ start: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  var description = ModelDescription()
  (description.mean, description.deviation, description.inputSize) = ([0, 0, 0], [1, 1, 1], 8)
  do {
    let file = try OnnxFile(bytes: UnsafeRawBufferPointer(start: start, count: size), name: "input")
    let loaded = try ModelLoader.load(file, overrides: description)
    precondition(loaded.model.graph.classCount > 1)
  } catch {
    precondition(!error.message.isEmpty)
  }
  return 0
}
