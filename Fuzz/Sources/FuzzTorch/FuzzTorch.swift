// libFuzzer target: the reader of PyTorch checkpoints.

import Engine
import TorchCheckpoint

/// One input: whatever the bytes are, the reader answers with tensors or with an error that says something.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzTorch(_ start: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  do {
    let file = try TorchCheckpoint(bytes: UnsafeRawBufferPointer(start: start, count: size), name: "input")
    for (name, entry) in file.entries {
      let tensor = try file.tensor(name)
      precondition(tensor.shape == entry.shape && tensor.elementCount <= size)
      _ = tensor.isFinite
    }
  } catch {
    precondition(!error.message.isEmpty)
  }
  return 0
}
