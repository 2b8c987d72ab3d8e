// libFuzzer target: the reader of safetensors files.

import Engine
import Safetensors

/// One input: whatever the bytes are, the reader answers with tensors or with an error that says something.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSafetensors(_ start: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  do {
    let file = try SafetensorsFile(bytes: UnsafeRawBufferPointer(start: start, count: size), name: "input")
    for name in file.names {
      let bytes = try file.bytes(name)
      let tensor = try file.tensor(name)
      precondition(tensor.elementCount * (file.entries[name]?.type.byteCount ?? 0) == bytes.count)
      _ = tensor.isFinite
      _ = try? file.integers(name)
    }
  } catch {
    precondition(!error.message.isEmpty)
  }
  return 0
}
