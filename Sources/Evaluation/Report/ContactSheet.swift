// Pictures of a stream as they look under each of its domains.

public import Engine
import Foundation
public import Streams
import Vision

/// Pictures of a stream as they look under each of its domains, as PNG files in data URLs.
public struct ContactSheet: Sendable {
  /// One picture.
  public struct Picture: Sendable {
    /// What it shows, in words.
    public var text: String
    /// `data:image/png;base64,…`.
    public var url: String
  }
  /// The pictures of one domain.
  public struct Row: Sendable {
    /// The domain.
    public var domain: Domain
    /// The same places of the data set in every row.
    public var pictures: [Picture]
  }
  /// One row per domain, before them the pictures as they are.
  public let rows: [Row]

  /// Up to `count` pictures of the stream's first domain, the first one of each class where there are labels, under at most `maximumDomains` of
  /// its domains.
  public init(_ stream: DomainStream, count: Int = 10, maximumDomains: Int = .max) throws(TTAError) {
    let places = Self.choose(count, from: stream.segments.first?.places ?? [], of: stream.images)
    var domains = [Domain.clean]
    for domain in stream.segments.lazy.flatMap(\.allDomains) where domains.count <= maximumDomains && !domains.contains(domain) {
      domains.append(domain)
    }
    guard !places.isEmpty else {
      rows = []
      return
    }
    let sheet = try DomainStream(
      stream.images, segments: domains.map { DomainStream.Segment(domain: $0, places: places) }, batchSize: places.count,
      options: stream.options)
    var rows: [Row] = []
    for (number, domain) in domains.enumerated() {
      let batch = try sheet.batch(at: number)
      var pictures: [Picture] = []
      for (position, place) in batch.places.enumerated() {
        let png = try ImageCodec.png(ImageBatch.image(position, of: batch.images), level: 9)
        let text = "\(Self.name(of: place, in: stream.images)), \(domain)"
        pictures.append(Picture(text: text, url: "data:image/png;base64," + Data(png).base64EncodedString()))
      }
      rows.append(Row(domain: domain, pictures: pictures))
    }
    self.rows = rows
  }

  /// The part of a page that shows the pictures; empty without any.
  var section: String {
    guard !rows.isEmpty else { return "" }
    let figures = rows.map { row in
      let images = row.pictures.map { picture in
        let text = HTMLText.escaped(picture.text)
        return "<img src=\"\(picture.url)\" alt=\"\(text)\" title=\"\(text)\">"
      }
      let caption = "<figcaption>\(HTMLText.escaped(row.domain.description))</figcaption>"
      return "<figure>\(caption)<div class=\"strip\">\(images.joined())</div></figure>"
    }
    return """
      <h2>The pictures</h2>
      <p class="soft">The same pictures as they are and under each corruption.</p>
      <div class="sheet">
      \(figures.joined(separator: "\n"))
      </div>
      """
  }

  private static func choose(_ count: Int, from places: [Int], of images: any LabeledImages) -> [Int] {
    var first: [Int: Int] = [:]
    for place in places where first.count < count {
      if let label = images.label(at: place), first[label] == nil { first[label] = place }
    }
    let chosen = first.sorted { $0.key < $1.key }.map(\.value)
    return chosen.isEmpty ? Array(places.prefix(count)) : chosen
  }
  private static func name(of place: Int, in images: any LabeledImages) -> String {
    guard let label = images.label(at: place), let names = images.classNames, names.indices.contains(label) else {
      return images.name(at: place)
    }
    return names[label]
  }
}
