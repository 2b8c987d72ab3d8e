// Cells in processes side by side.

import ArgumentParser
import Engine
import Evaluation
import Foundation

/// Runs each cell in a process of its own, some at a time. A process that ends early leaves its cell to be resumed.
struct ReplayWorkers {
  let folder: ReplayFolder
  let threads: Int, count: Int
  let execution: ExecutionOptions
  let quiet: Bool

  func run(_ cells: [ReplayCell], total: Int, saveEvery: Int) throws {
    let interruption = Interruption()
    var waiting = cells[...], running: [(cell: ReplayCell, process: Process)] = []
    var done = total - cells.count, failed: (cell: ReplayCell, code: Int32)?, isStopping = false
    while !waiting.isEmpty || !running.isEmpty {
      if !isStopping, interruption.isRequested || failed != nil {
        isStopping = true
        waiting = []
        for (_, process) in running { process.terminate() }
      }
      while running.count < count, let cell = waiting.popFirst() { running.append((cell, try start(cell, saveEvery))) }
      Thread.sleep(forTimeInterval: 0.02)
      for (cell, process) in running where !process.isRunning {
        if process.terminationStatus == 0 {
          done += 1
          if !quiet { Console.error("\(cell.key)  done  \(done) of \(total)") }
        } else if !isStopping {
          failed = failed ?? (cell, process.terminationStatus)
        }
      }
      running.removeAll { !$0.process.isRunning }
    }
    if let failed {
      Console.error("error: cell \(failed.cell.key) ended with code \(failed.code)")
      Console.error("hint: its own message is above; --resume goes on with what is kept")
      throw ExitCode(failed.code)
    }
    if isStopping {
      Console.error("interrupted; everything so far is kept: the same command with --resume goes on")
      throw ExitCode(130)
    }
  }
  private func start(_ cell: ReplayCell, _ saveEvery: Int) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = [
      "replay", "--config", folder.file("configuration.yaml"), "--output", folder.path, "--cell", cell.key, "--threads", "\(threads)",
      "--save-every", "\(saveEvery)", "--worker-of", "\(getpid())", "--quiet",
    ]
    process.arguments? += execution.arithmeticArguments
    process.standardInput = FileHandle.nullDevice
    do { try process.run() } catch {
      throw TTAError(.internal, "a worker cannot be started: \(error.localizedDescription)", hint: "use --workers 1", cause: error)
    }
    return process
  }
}
