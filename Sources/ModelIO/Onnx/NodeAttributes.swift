// Attributes of ONNX nodes with their defaults.

import Engine
import Onnx

extension OnnxNode {
  func integer(_ name: String, _ standard: Int) -> Int {
    if case .integer(let value)? = attributes[name] { return value }
    return standard
  }
  func float(_ name: String, _ standard: Float) -> Float {
    if case .float(let value)? = attributes[name] { return value }
    return standard
  }
  func text(_ name: String, _ standard: String) -> String {
    if case .text(let value)? = attributes[name] { return value }
    return standard
  }
  func flag(_ name: String) -> Bool { integer(name, 0) != 0 }
  func integers(_ name: String) -> [Int]? {
    if case .integers(let values)? = attributes[name] { return values }
    return nil
  }
  func extents(_ name: String) -> [Extent]? { integers(name)?.map { Extent($0) } }
  /// Axes from an input, as newer operators have them, or from the attribute.
  func axes(_ input: TracedConstant?) -> [Int]? { input?.integers?.fixed ?? integers("axes") }
}
