// The table of contents of a zip file.
//
// PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 to 4.3.16 and 4.5.3 (zip64). PyTorch stores entries without compression, so that weights can be used where
// they lie; compressed entries are refused.

import Engine

/// Where the entries of a zip file lie. Nothing in the file is trusted: every offset and length is checked, entries may not overlap.
struct ZipDirectory: Sendable {
  /// Bytes of each entry in the file, by name.
  let entries: [String: Range<Int>]

  private static let entryLimit = 1_000_000

  /// Reads the central directory. Throws `invalidData` for what is no zip file of stored entries.
  init(_ bytes: UnsafeRawBufferPointer, path: String) throws(TTAError) {
    func fail(_ what: String) -> TTAError {
      TTAError(
        .invalidData, "\(path): not a valid PyTorch zip file: \(what)", hint: "the file is damaged or cut short; copy or save it again")
    }
    let reader = LittleEndian(bytes)
    guard let end = Self.endOfDirectory(reader) else { throw fail("no end of central directory") }
    var (count, size, start) = (Int(reader.u16(end + 10)), Int(reader.u32(end + 12)), Int(reader.u32(end + 16)))
    if count == 0xFFFF || size == 0xFFFF_FFFF || start == 0xFFFF_FFFF {
      guard end >= 20, reader.u32(end - 20) == 0x0706_4B50, let record = Int(exactly: reader.u64(end - 12)), record >= 0,
        record <= bytes.count - 56, reader.u32(record) == 0x0606_4B50, let wideCount = Int(exactly: reader.u64(record + 32)),
        let wideSize = Int(exactly: reader.u64(record + 40)), let wideStart = Int(exactly: reader.u64(record + 48))
      else { throw fail("a damaged zip64 directory") }
      (count, size, start) = (wideCount, wideSize, wideStart)
    }
    guard count <= Self.entryLimit, start >= 0, size >= 0, start <= end, size <= end - start else {
      throw fail("a directory of \(count) entries at \(start)")
    }
    var entries: [String: Range<Int>] = [:]
    var position = start
    for _ in 0..<count {
      guard position <= start + size - 46, reader.u32(position) == 0x0201_4B50 else {
        throw fail("a damaged directory entry at \(position)")
      }
      let (nameLength, extraLength, commentLength) = (
        Int(reader.u16(position + 28)), Int(reader.u16(position + 30)), Int(reader.u16(position + 32))
      )
      guard position + 46 + nameLength + extraLength + commentLength <= start + size else { throw fail("a damaged entry at \(position)") }
      guard let name = String(validating: bytes[position + 46..<position + 46 + nameLength], as: UTF8.self) else {
        throw fail("an entry whose name is not UTF-8")
      }
      var fields: [Int] = [Int(reader.u32(position + 24)), Int(reader.u32(position + 20)), Int(reader.u32(position + 42))]
      guard Self.widen(&fields, reader, position + 46 + nameLength, extraLength) else { throw fail("\(name): damaged zip64 lengths") }
      let (length, packed, header) = (fields[0], fields[1], fields[2])
      guard reader.u16(position + 10) == 0, packed == length else {
        throw TTAError(
          .unsupported, "\(path): the entry \(name) is compressed",
          hint: "save the file again with torch.save, which stores entries uncompressed")
      }
      guard header >= 0, header <= bytes.count - 30, reader.u32(header) == 0x0403_4B50 else {
        throw fail("\(name): no header at \(header)")
      }
      let data = header + 30 + Int(reader.u16(header + 26)) + Int(reader.u16(header + 28))
      guard length >= 0, data <= start, length <= start - data else { throw fail("\(name): \(length) bytes at \(data) of \(start)") }
      guard entries.updateValue(data..<data + length, forKey: name) == nil else { throw fail("two entries are called \(name)") }
      position += 46 + nameLength + extraLength + commentLength
    }
    var reached = 0
    for range in entries.values.sorted(by: { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }) where !range.isEmpty {
      guard range.lowerBound >= reached else { throw fail("entries overlap at \(range.lowerBound)") }
      reached = range.upperBound
    }
    self.entries = entries
  }

  /// The record lies in front of a comment of at most 65,535 bytes.
  private static func endOfDirectory(_ reader: LittleEndian) -> Int? {
    let count = reader.count
    guard count >= 22 else { return nil }
    for place in stride(from: count - 22, through: max(0, count - 22 - 65_535), by: -1)
    where reader.u32(place) == 0x0605_4B50 && place + 22 + Int(reader.u16(place + 20)) == count { return place }
    return nil
  }
  /// Takes those of length, packed length and offset that are all ones from the zip64 extra field.
  private static func widen(_ fields: inout [Int], _ reader: LittleEndian, _ start: Int, _ length: Int) -> Bool {
    guard fields.contains(0xFFFF_FFFF) else { return true }
    var place = start
    while place + 4 <= start + length {
      let (kind, size) = (reader.u16(place), Int(reader.u16(place + 2)))
      guard place + 4 + size <= start + length else { return false }
      if kind == 1 {
        var next = place + 4
        for i in fields.indices where fields[i] == 0xFFFF_FFFF {
          guard next + 8 <= place + 4 + size, let value = Int(exactly: reader.u64(next)) else { return false }
          fields[i] = value
          next += 8
        }
        return true
      }
      place += 4 + size
    }
    return false
  }
}

/// Unsigned numbers in little-endian order at checked places.
struct LittleEndian {
  private let bytes: UnsafeRawBufferPointer
  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }
  var count: Int { bytes.count }
  func u16(_ place: Int) -> UInt16 { UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self)) }
  func u32(_ place: Int) -> UInt32 { UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)) }
  func u64(_ place: Int) -> UInt64 { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)) }
}
