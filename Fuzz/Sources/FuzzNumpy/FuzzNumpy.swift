// libFuzzer target: the reader of NumPy arrays.

import Engine
import Streams

/// One input: whatever the bytes are, the reader answers with an array or with an error that says something.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzNumpy(_ start: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: size))
  do {
    let array = try NumpyArray(bytes: bytes, name: "input")
    precondition(array.withBytes { $0.count } == (array.shape.contains(0) ? 0 : array.shape.reduce(array.type.size, *)))
    _ = try? array.labels()
    _ = try? array.tensor()
    if let images = try? NumpyImages(array), images.count > 0 { _ = try? images.image(at: images.count - 1) }
  } catch {
    precondition(!error.message.isEmpty)
  }
  return 0
}
