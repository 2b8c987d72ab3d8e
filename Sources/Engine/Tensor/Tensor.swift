// A dense float32 array with copy-on-write storage.

import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// A dense float32 array, rows outermost, with copy-on-write storage aligned to 64 bytes.
public struct Tensor: Sendable {
  /// Memory of a tensor; shared between copies until one of them changes.
  final class Storage: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Float>
    let count: Int
    private let owner: AnyObject?
    private static let hugePage = 1 << 21

    init(count: Int) {
      let bytes = max(64, (count * 4 + 63) / 64 * 64)
      let isLarge = bytes >= 2 * Self.hugePage
      var raw: UnsafeMutableRawPointer?
      guard posix_memalign(&raw, isLarge ? Self.hugePage : 64, bytes) == 0, let raw else {
        fatalError("out of memory: \(bytes) bytes for a tensor")
      }
      // Fewer page faults at the first touch; the rest behind the last whole page stays in small ones, so that no memory is added.
      if isLarge { madvise(raw, bytes / Self.hugePage * Self.hugePage, MADV_HUGEPAGE) }
      pointer = raw.bindMemory(to: Float.self, capacity: bytes / 4)
      self.count = count
      owner = nil
    }
    /// Memory that somebody else owns (a mapped file): readable as long as `owner` lives, copied before any change.
    init(borrowing pointer: UnsafePointer<Float>, count: Int, owner: AnyObject) {
      self.pointer = UnsafeMutablePointer(mutating: pointer)
      self.count = count
      self.owner = owner
    }
    var isBorrowed: Bool { owner != nil }
    var file: MappedFile? { owner as? MappedFile }
    deinit { if owner == nil { free(pointer) } }
  }

  /// The lengths of the axes, rows first.
  public let shape: Shape
  var storage: Storage
  /// Identifies the contents: a new number after every change, so that caches key on it and hold no reference that would force copies.
  public private(set) var stamp: UInt64

  private static let stamps = Atomic<UInt64>(1)
  private static func nextStamp() -> UInt64 { stamps.wrappingAdd(1, ordering: .relaxed).oldValue }

  /// Memory that is not yet written.
  package init(uninitialized shape: Shape) {
    self.shape = shape
    storage = Storage(count: shape.elementCount)
    stamp = Self.nextStamp()
  }
  /// Zeros.
  public init(zeros shape: Shape) {
    self.init(uninitialized: shape)
    storage.pointer.update(repeating: 0, count: storage.count)
  }
  /// One value everywhere.
  public init(repeating value: Float, shape: Shape) {
    self.init(uninitialized: shape)
    storage.pointer.update(repeating: value, count: storage.count)
  }
  /// The given values, rows first. Their number must fit the shape.
  public init(_ values: [Float], shape: Shape) {
    precondition(values.count == shape.elementCount, "\(values.count) values for a tensor \(shape)")
    self.init(uninitialized: shape)
    values.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { storage.pointer.update(from: base, count: source.count) }
    }
  }
  /// Values in memory that `owner` keeps alive; nothing is copied until a change.
  package init(borrowing pointer: UnsafePointer<Float>, shape: Shape, owner: AnyObject) {
    self.shape = shape
    storage = Storage(borrowing: pointer, count: shape.elementCount, owner: owner)
    stamp = Self.nextStamp()
  }

  /// Number of rows: images, samples.
  public var count: Int { shape.dimensions.first ?? 0 }
  /// Number of elements.
  public var elementCount: Int { storage.count }
  /// Elements of one row.
  public var rowElementCount: Int { shape.dimensions.dropFirst().reduce(1, *) }
  /// All values, rows first. Copies.
  public var values: [Float] { Array(UnsafeBufferPointer(start: storage.pointer, count: storage.count)) }

  /// A copy of the chosen rows, in the given order.
  public subscript(rows: [Int]) -> Tensor {
    let width = rowElementCount
    let result = Tensor(uninitialized: Shape([rows.count] + shape.dimensions.dropFirst()))
    for (position, row) in rows.enumerated() {
      precondition(row >= 0 && row < count, "row \(row) of a tensor \(shape)")
      result.storage.pointer.advanced(by: position * width).update(
        from: storage.pointer.advanced(by: row * width), count: width)
    }
    return result
  }
  /// Rows that lie next to each other; nothing is copied until a change.
  public subscript(rows: Range<Int>) -> Tensor {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= count, "rows \(rows) of a tensor \(shape)")
    let first = UnsafePointer(storage.pointer) + rows.lowerBound * rowElementCount
    return Tensor(borrowing: first, shape: Shape([rows.count] + shape.dimensions.dropFirst()), owner: storage)
  }
  /// The same values under another shape of as many elements; nothing is copied.
  public func reshaped(to shape: Shape) -> Tensor {
    precondition(shape.elementCount == elementCount, "a tensor \(self.shape) seen as \(shape)")
    return Tensor(shape: shape, storage: storage, stamp: stamp)
  }
  private init(shape: Shape, storage: Storage, stamp: UInt64) {
    self.shape = shape
    self.storage = storage
    self.stamp = stamp
  }

  /// Read access to all values, rows first.
  public func withSpan<R, E: Error>(_ body: (Span<Float>) throws(E) -> R) throws(E) -> R {
    defer { withExtendedLifetime(storage) {} }
    let buffer = UnsafeBufferPointer(start: storage.pointer, count: storage.count)
    return try body(buffer.span)
  }
  /// In-place write access; copies first only where somebody else holds the storage.
  public mutating func update<E: Error>(_ body: (inout MutableSpan<Float>) throws(E) -> Void) throws(E) {
    makeUnique()
    stamp = Self.nextStamp()
    let buffer = UnsafeMutableBufferPointer(start: storage.pointer, count: storage.count)
    var span = buffer.mutableSpan
    try body(&span)
  }
  /// Read access for kernels.
  package func withPointer<R, E: Error>(_ body: (UnsafePointer<Float>) throws(E) -> R) throws(E) -> R {
    defer { withExtendedLifetime(storage) {} }
    return try body(UnsafePointer(storage.pointer))
  }
  /// Write access for kernels; copies first only where somebody else holds the storage.
  package mutating func withMutablePointer<R, E: Error>(_ body: (UnsafeMutablePointer<Float>) throws(E) -> R) throws(E) -> R {
    makeUnique()
    stamp = Self.nextStamp()
    defer { withExtendedLifetime(storage) {} }
    return try body(storage.pointer)
  }
  private var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: storage.pointer, count: storage.count * 4) }
  /// Whether the values lie in a mapped file.
  var isMapped: Bool { storage.file != nil }
  /// Bytes that `giveBackPages` gives back: those of a mapped file's values, in whole pages.
  var mappedPageBytes: Int { storage.file?.pages(within: bytes).count ?? 0 }
  /// Gives back memory of values in a mapped file that will hardly be read again; reading them is as possible as before.
  func giveBackPages() { storage.file?.giveBack(bytes) }
  /// True while nobody else holds the storage.
  var isUnique: Bool { mutating get { isKnownUniquelyReferenced(&storage) } }
  /// Takes another's values: in place where nobody else holds the storage, else by sharing the other's.
  mutating func become(_ other: Tensor) {
    guard storage !== other.storage else { return }
    guard shape == other.shape, isUnique, !storage.isBorrowed else {
      self = other
      return
    }
    withMutablePointer { target in other.withPointer { target.update(from: $0, count: other.elementCount) } }
    other.giveBackPages()
  }
  /// Copies the values where somebody else holds the storage.
  mutating func makeUnique() {
    guard !isKnownUniquelyReferenced(&storage) || storage.isBorrowed else { return }
    let copy = Storage(count: storage.count)
    copy.pointer.update(from: storage.pointer, count: storage.count)
    // Who has a value of its own hardly reads the file again.
    giveBackPages()
    storage = copy
  }
}

extension Tensor: Equatable {
  /// Same shape and same bits.
  public static func == (left: Tensor, right: Tensor) -> Bool {
    guard left.shape == right.shape else { return false }
    if left.storage === right.storage { return true }
    return memcmp(left.storage.pointer, right.storage.pointer, left.elementCount * 4) == 0
  }
}
