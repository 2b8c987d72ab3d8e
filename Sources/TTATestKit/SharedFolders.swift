// Where reference data lies.

public import Foundation

/// Folders of reference data that are not part of the package: `TTA_SHARED` (default `../shared` beside the package) and `TTA_GOLDEN`.
public enum SharedFolders {
  /// The folder of the package, found from a source file.
  public static func packageRoot(from file: String = #filePath) -> URL {
    var url = URL(fileURLWithPath: file).deletingLastPathComponent()
    while url.path != "/", !FileManager.default.fileExists(atPath: url.appendingPathComponent("Package.swift").path) {
      url.deleteLastPathComponent()
    }
    return url
  }
  private static func folder(_ variable: String, _ fallback: URL) -> URL? {
    let url = ProcessInfo.processInfo.environment[variable].map { URL(fileURLWithPath: $0) } ?? fallback
    return FileManager.default.fileExists(atPath: url.path) ? url : nil
  }
  /// Reference data, or nil where there is none.
  public static var shared: URL? { folder("TTA_SHARED", packageRoot().deletingLastPathComponent().appendingPathComponent("shared")) }
  /// Golden inputs and outputs, or nil where there are none.
  public static var golden: URL? {
    let fallback = shared?.appendingPathComponent("golden") ?? packageRoot().appendingPathComponent("no-golden-folder")
    return folder("TTA_GOLDEN", fallback)
  }
}
