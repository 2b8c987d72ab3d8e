// A reader of pickles that can build tensors and containers and nothing else.
//
// Python's pickle is a program for a stack machine that may call any function. This machine knows the opcodes that protocols 2 to 4 use for
// state dicts (pickletools of CPython 3.11 describes them) and the few functions of PyTorch that make tensors; everything else is refused by name.
// Containers live in one list and values hold their numbers: nothing nests, so nothing recurses however deep a hostile pickle goes.

import Engine

/// A value of a pickle.
enum PickleValue: Hashable {
  /// Python's None, True and False.
  case none, bool(Bool)
  /// Numbers, text, bytes.
  case integer(Int), real(Double), text(String), bytes([UInt8])
  /// A known function or class.
  case function(PickleFunction)
  /// A list, tuple or dictionary by its number.
  case container(Int)
  /// A storage or tensor by its number.
  case storage(Int), tensor(Int)
}

/// The functions and classes that pickles may name.
enum PickleFunction: Hashable {
  /// `collections.OrderedDict`, `torch.Size`.
  case orderedDictionary, size
  /// `torch._utils._rebuild_tensor_v2`, `_rebuild_tensor`, `_rebuild_parameter`.
  case tensor, parameter
  /// `torch.FloatStorage` and its like.
  case storage(StoredType)
  /// Values that are carried but never used: dtypes, devices.
  case unused

  init?(_ module: String, _ name: String) {
    switch (module, name) {
    case ("collections", "OrderedDict"): self = .orderedDictionary
    case ("torch", "Size"): self = .size
    case ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor"): self = .tensor
    case ("torch._utils", "_rebuild_parameter"): self = .parameter
    case ("torch", "device"): self = .unused
    case ("torch", "float32"), ("torch", "float16"), ("torch", "bfloat16"), ("torch", "float64"), ("torch", "int64"): self = .unused
    case ("torch", let storage) where storage.hasSuffix("Storage"):
      guard let type = Self.storages[storage] else { return nil }
      self = .storage(type)
    default: return nil
    }
  }
  private static let storages: [String: StoredType] = [
    "DoubleStorage": .f64, "FloatStorage": .f32, "HalfStorage": .f16, "BFloat16Storage": .bf16, "LongStorage": .i64, "IntStorage": .i32,
    "ShortStorage": .i16, "CharStorage": .i8, "ByteStorage": .u8, "BoolStorage": .bool,
  ]
}

/// A storage that a pickle names: its key, its type, and the number of elements it claims.
struct PickledStorage {
  var key: String, type: StoredType, count: Int
}
/// A tensor as a view of a storage.
struct PickledTensor {
  var storage: Int, offset: Int, shape: [Int], strides: [Int]
}
/// A list or tuple, or a dictionary in its order.
enum PickleContainer {
  case sequence([PickleValue])
  case dictionary([(key: PickleValue, value: PickleValue)])
}

/// Runs pickles.
struct PickleMachine {
  private(set) var containers: [PickleContainer] = []
  private(set) var storages: [PickledStorage] = []
  private(set) var tensors: [PickledTensor] = []
  private var storageNumbers: [String: Int] = [:]
  private var stack: [PickleValue] = [], marks: [Int] = [], memo: [Int: PickleValue] = [:]
  private var input: PickleInput

  /// A machine at the beginning of `bytes`; `path` is for messages.
  init(_ bytes: UnsafeRawBufferPointer, path: String) { input = PickleInput(bytes, path: path) }
  /// How many bytes are read.
  var position: Int { input.position }
  func fail(_ what: String) -> TTAError { input.fail(what) }

  /// Runs one pickle to its STOP and gives its value; the next call reads the pickle behind it.
  mutating func run() throws(TTAError) -> PickleValue {
    (stack, marks, memo) = ([], [], [:])
    while true {
      let place = input.position
      guard let code = PickleCode(rawValue: try input.byte()) else { throw input.refuseCode(at: place) }
      if code == .stop { return try pop() }
      try step(code)
    }
  }

  private mutating func step(_ code: PickleCode) throws(TTAError) {
    switch code {
    case .stop: break
    case .proto: _ = try input.byte()
    case .frame: _ = try input.integer(8)
    case .mark: marks.append(stack.count)
    case .pop: _ = try pop()
    case .popMark: _ = try popToMark()
    case .duplicate:
      let value = try pop()
      stack += [value, value]
    case .none: stack.append(.none)
    case .newTrue: stack.append(.bool(true))
    case .newFalse: stack.append(.bool(false))
    case .binInt: stack.append(.integer(Int(Int32(truncatingIfNeeded: try input.integer(4)))))
    case .binInt1: stack.append(.integer(try input.integer(1)))
    case .binInt2: stack.append(.integer(try input.integer(2)))
    case .long1: stack.append(try input.long(bytes: try input.integer(1)))
    case .long4: stack.append(try input.long(bytes: try input.integer(4)))
    case .binFloat: stack.append(.real(try input.bigEndianDouble()))
    case .binUnicode: stack.append(.text(try input.text(bytes: try input.integer(4))))
    case .shortBinUnicode: stack.append(.text(try input.text(bytes: try input.integer(1))))
    case .binUnicode8: stack.append(.text(try input.text(bytes: try input.integer(8))))
    case .binString: stack.append(.text(try input.text(bytes: try input.integer(4))))
    case .shortBinString: stack.append(.text(try input.text(bytes: try input.integer(1))))
    case .binBytes: stack.append(.bytes(try input.bytes(try input.integer(4))))
    case .shortBinBytes: stack.append(.bytes(try input.bytes(try input.integer(1))))
    case .emptyTuple, .emptyList: push(.sequence([]))
    case .emptyDictionary: push(.dictionary([]))
    case .tuple, .list: push(.sequence(try popToMark()))
    case .tuple1: push(.sequence([try pop()]))
    case .tuple2, .tuple3: push(.sequence(try pop(code == .tuple2 ? 2 : 3)))
    case .dictionary:
      push(.dictionary([]))
      let empty = try pop()
      let items = try popToMark()
      stack.append(empty)
      try setItems(items)
    case .append: try append([try pop()])
    case .appends: try append(try popToMark())
    case .setItem: try setItems(try pop(2))
    case .setItems: try setItems(try popToMark())
    case .binPut: memo[try input.integer(1)] = try top()
    case .longBinPut: memo[try input.integer(4)] = try top()
    case .memoize: memo[memo.count] = try top()
    case .binGet: stack.append(try remembered(try input.integer(1)))
    case .longBinGet: stack.append(try remembered(try input.integer(4)))
    case .global:
      let module = try input.line()
      stack.append(try function(module, try input.line()))
    case .stackGlobal:
      guard case .text(let name) = try pop(), case .text(let module) = try pop() else { throw fail("a function without a name") }
      stack.append(try function(module, name))
    case .persistentID: stack.append(try storage(named: try pop()))
    case .reduce:
      let arguments = try pop()
      stack.append(try call(try pop(), arguments))
    case .build: _ = try pop()  // attributes of a container, such as the versions of a state dict's modules
    }
  }

  // MARK: - The stack

  private mutating func push(_ container: PickleContainer) {
    containers.append(container)
    stack.append(.container(containers.count - 1))
  }
  private func top() throws(TTAError) -> PickleValue {
    guard let value = stack.last, stack.count > marks.last ?? 0 else { throw fail("an empty stack") }
    return value
  }
  private mutating func pop() throws(TTAError) -> PickleValue {
    let value = try top()
    stack.removeLast()
    return value
  }
  private mutating func pop(_ count: Int) throws(TTAError) -> [PickleValue] {
    guard stack.count - (marks.last ?? 0) >= count else { throw fail("an empty stack") }
    let values = Array(stack.suffix(count))
    stack.removeLast(count)
    return values
  }
  private mutating func popToMark() throws(TTAError) -> [PickleValue] {
    guard let mark = marks.popLast() else { throw fail("no mark on the stack") }
    let values = Array(stack[mark...])
    stack.removeSubrange(mark...)
    return values
  }
  private func remembered(_ number: Int) throws(TTAError) -> PickleValue {
    guard let value = memo[number] else { throw fail("nothing is remembered as \(number)") }
    return value
  }
  private mutating func append(_ values: [PickleValue]) throws(TTAError) {
    guard case .container(let number) = try top(), case .sequence(var items) = containers[number] else {
      throw fail("no list to append to")
    }
    containers[number] = .sequence([])
    items += values
    containers[number] = .sequence(items)
  }
  private mutating func setItems(_ values: [PickleValue]) throws(TTAError) {
    guard case .container(let number) = try top(), case .dictionary(var items) = containers[number], values.count % 2 == 0 else {
      throw fail("no dictionary to fill")
    }
    containers[number] = .dictionary([])
    for i in stride(from: 0, to: values.count, by: 2) { items.append((values[i], values[i + 1])) }
    containers[number] = .dictionary(items)
  }

  // MARK: - Functions

  private func function(_ module: String, _ name: String) throws(TTAError) -> PickleValue {
    guard let known = PickleFunction(module, name) else { throw input.refuseFunction("\(module).\(name)") }
    return .function(known)
  }
  /// The items of a list or tuple.
  func sequence(_ value: PickleValue) -> [PickleValue]? {
    guard case .container(let number) = value, case .sequence(let items) = containers[number] else { return nil }
    return items
  }
  private func integers(_ value: PickleValue) -> [Int]? {
    guard let items = sequence(value) else { return nil }
    var result: [Int] = []
    for item in items {
      guard case .integer(let number) = item else { return nil }
      result.append(number)
    }
    return result
  }
  private mutating func call(_ called: PickleValue, _ arguments: PickleValue) throws(TTAError) -> PickleValue {
    guard case .function(let function) = called, let items = sequence(arguments) else { throw fail("a call of what is no function") }
    switch function {
    case .orderedDictionary:
      guard items.isEmpty else { throw fail("an ordered dictionary with arguments") }
      containers.append(.dictionary([]))
      return .container(containers.count - 1)
    case .size:
      guard items.count == 1 else { throw fail("a torch.Size of \(items.count) arguments") }
      return items[0]
    case .parameter:
      guard let first = items.first, case .tensor = first else { throw fail("a parameter that is no tensor") }
      return first
    case .tensor:
      guard items.count >= 4, case .storage(let storage) = items[0], case .integer(let offset) = items[1], let shape = integers(items[2]),
        let strides = integers(items[3])
      else { throw fail("a tensor with other arguments than storage, offset, size and stride") }
      tensors.append(PickledTensor(storage: storage, offset: offset, shape: shape, strides: strides))
      return .tensor(tensors.count - 1)
    case .unused: return .none
    case .storage: throw fail("a storage that is called")
    }
  }
  /// `("storage", type, key, device, count)`.
  private mutating func storage(named value: PickleValue) throws(TTAError) -> PickleValue {
    guard let items = sequence(value), items.count >= 5, items[0] == .text("storage"), case .function(.storage(let type)) = items[1],
      case .text(let key) = items[2], case .integer(let count) = items[4], count >= 0
    else { throw fail("a storage that is not described as PyTorch does") }
    if items.count > 5, items[5] != .none {
      throw TTAError(
        .unsupported, "\(input.path): the storage \(key) is a view of another one", hint: "save the state dict again with torch.save")
    }
    if let known = storageNumbers[key] { return .storage(known) }
    storages.append(PickledStorage(key: key, type: type, count: count))
    storageNumbers[key] = storages.count - 1
    return .storage(storages.count - 1)
  }
}
