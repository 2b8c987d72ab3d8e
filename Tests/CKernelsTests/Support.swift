// What the kernel tests share: aligned buffers, random blocked values, the list of instruction sets, worker pools.
import CKernels
import Testing

/// All kernel tests: one after the other, because the instruction set is chosen for the whole process.
@Suite(.serialized) enum KernelTests {}

/// The full lists of cases take a minute in release and far longer in debug, where C is not optimised either: there, a part of them runs.
#if DEBUG
  let caseStride = 13
#else
  let caseStride = 1
#endif

func everyCase<Case>(_ cases: [Case]) -> [Case] {
  cases.indices.filter { $0 % caseStride == 0 }.map { cases[$0] }
}

/// Memory aligned as the kernels want it, freed with its owner.
final class Buffer<Element: BitwiseCopyable> {
  let count: Int
  let pointer: UnsafeMutablePointer<Element>
  private let raw: UnsafeMutableRawPointer

  init(_ count: Int, fill: Element) {
    self.count = count
    raw = .allocate(byteCount: max(64, count * MemoryLayout<Element>.stride + 64), alignment: 64)
    pointer = raw.bindMemory(to: Element.self, capacity: count + 1)
    pointer.update(repeating: fill, count: count)
  }

  deinit { raw.deallocate() }

  subscript(index: Int) -> Element { pointer[index] }

  func fill(_ value: Element) { pointer.update(repeating: value, count: count) }

  /// Bit for bit, NaN included.
  func bytes() -> [UInt8] {
    [UInt8](UnsafeRawBufferPointer(start: pointer, count: count * MemoryLayout<Element>.stride))
  }
}

/// Numbers in -1 ..< 1 with 16 bits, the same in every run.
struct Numbers {
  private var state: UInt32

  init(seed: Int) { state = UInt32(truncatingIfNeeded: seed &* 2_654_435_761 &+ 12345) }

  mutating func next() -> Float {
    state = state &* 1_664_525 &+ 1_013_904_223
    return Float((state >> 8) & 0xFFFF) / 32768 - 1
  }

  mutating func plain(_ count: Int) -> Buffer<Float> {
    let buffer = Buffer<Float>(count, fill: 0)
    for index in 0..<count { buffer.pointer[index] = next() }
    return buffer
  }

  /// Random blocked values; padded lanes are 0.
  mutating func blocked(_ layout: Blocked) -> Buffer<Float> {
    let buffer = Buffer<Float>(layout.count, fill: 0)
    for image in 0..<layout.images {
      for channel in 0..<layout.channels {
        for position in 0..<layout.positions { buffer.pointer[layout.index(image, channel, position)] = next() }
      }
    }
    return buffer
  }

  /// One value per channel, padded to whole blocks, for one or more images.
  mutating func perChannel(_ channels: Int, images: Int = 1) -> Buffer<Float> {
    blocked(Blocked(images: images, channels: channels, positions: 1))
  }
}

/// Indices of the blocked layout.
struct Blocked {
  let images: Int, channels: Int, positions: Int

  var blocks: Int { (channels + 15) / 16 }
  var paddedChannels: Int { blocks * 16 }
  var count: Int { images * paddedChannels * positions }

  func index(_ image: Int, _ channel: Int, _ position: Int) -> Int {
    ((image * blocks + channel / 16) * positions + position) * 16 + channel % 16
  }
}

/// Plain values in double: [image][channel][position].
struct Reference {
  let images: Int, channels: Int, positions: Int
  var values: [Double]

  init(images: Int, channels: Int, positions: Int) {
    (self.images, self.channels, self.positions) = (images, channels, positions)
    values = [Double](repeating: 0, count: images * channels * positions)
  }

  func index(_ image: Int, _ channel: Int, _ position: Int) -> Int { (image * channels + channel) * positions + position }
}

/// The instruction sets of this machine, best last; the best one is selected again at the end.
func withEachInstructionSet(_ body: (_ name: String) throws -> Void) rethrows {
  let original = ck_current_isa()
  defer { _ = ck_select_isa(original) }
  for set in [CK_ISA_PORTABLE, CK_ISA_AVX2, CK_ISA_AVX512, CK_ISA_NEON] where ck_select_isa(set) {
    try body(String(cString: ck_isa_name(set)))
  }
}

/// Pools of 1, 2 and 3 workers (3: more than this machine's cores, or an odd number of them).
struct Pools {
  let all: [OpaquePointer]
  init() { all = (1...3).compactMap { ck_pool_create(Int32($0)) } }
  func reserve(_ bytes: Int) { for pool in all { #expect(ck_pool_reserve(pool, bytes)) } }
  func destroy() { for pool in all { ck_pool_destroy(pool) } }
}

func withPools(_ body: (Pools) throws -> Void) rethrows {
  let pools = Pools()
  defer { pools.destroy() }
  try body(pools)
}
