// tta report

import ArgumentParser
import Engine
import Evaluation
import Foundation

struct ReportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Compares replays side by side on one page, with significance.",
    discussion: "Example: tta report out --output comparison.html")

  @Argument(help: ArgumentHelp("Folders that tta replay wrote.", valueName: "run")) var runs: [String]
  @Option(name: .long, help: ArgumentHelp("The page, one self-contained file.", valueName: "file.html")) var output: String
  @OptionGroup(title: "Output") var printing: OutputOptions

  func run() async throws {
    var names: [String] = []
    let all = try runs.map { path -> ReplayReport.Run in
      let folder = ReplayFolder(path)
      guard folder.hasRun else {
        throw TTAError(.missingInput, "\"\(path)\" is not the folder of a replay", hint: "name folders that tta replay --output wrote")
      }
      let results = try folder.finishedCells(folder.configuration())
      guard !results.isEmpty, FileManager.default.fileExists(atPath: folder.file("manifest.json")) else {
        throw TTAError(.missingInput, "\"\(path)\": the replay is not finished", hint: "finish it with tta replay --resume")
      }
      let manifest: ReplayManifest
      do {
        manifest = try JSONDecoder().decode(ReplayManifest.self, from: Data(contentsOf: URL(fileURLWithPath: folder.file("manifest.json"))))
      } catch {
        throw TTAError(
          .invalidData, "\"\(folder.file("manifest.json"))\" cannot be read", hint: "write it again with tta replay --resume", cause: error)
      }
      var name = URL(fileURLWithPath: path).standardizedFileURL.lastPathComponent
      if names.contains(name) { name = path }
      names.append(name)
      return ReplayReport.Run(name: name, manifest: manifest, results: results)
    }
    let report = ReplayReport(all)
    try AtomicFile.write(report.html, to: output)
    if printing.json { try Console.json(all.map { ReplaySummary(run: $0.manifest.run, $0.results) }) }
    if !printing.quiet { Console.error("report: \(output)") }
  }
}
