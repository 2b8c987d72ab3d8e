// What this machine and this build are.

import CKernels
import Engine
import Foundation

/// What runs and on what: for `--version`, benchmarks and manifests.
enum Machine {
  static var instructionSet: String { String(cString: ck_isa_name(ck_current_isa())) }
  static var blas: String { String(cString: ck_blas_core_name()) }
  static var processors: Int { Executor.processorCount }
  /// Set by the build through the environment; `unknown` for a build by hand.
  static var revision: String { String(cString: ck_build_revision()) }

  static var description: String {
    let slow =
      instructionSet == "avx512" && ["Haswell", "Zen", "Sandybridge", "Nehalem"].contains(blas)
      ? " (an AVX2 core on an AVX-512 machine)" : ""
    return """
      tta \(TTACommandLine.version) (\(revision))
      instruction set: \(instructionSet)
      BLAS core: \(blas)\(slow)
      threads: \(processors)
      """
  }
  /// Largest resident size of this process so far, in bytes.
  static var peakMemoryBytes: Int { ck_peak_memory_bytes() }
}

/// Throws where TTA_ISA names an instruction set that does not exist or that the machine lacks.
func checkInstructionSet() throws {
  guard !ck_isa_request_valid() else { return }
  let wanted = ProcessInfo.processInfo.environment["TTA_ISA"] ?? ""
  throw TTAError(
    .usage, "TTA_ISA=\(wanted): expected portable, avx2, avx512 or neon, as far as this machine has them",
    hint: "unset TTA_ISA to use the best one")
}
