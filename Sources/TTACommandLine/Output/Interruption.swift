// Ctrl-C.

import Foundation
import Synchronization

/// The first Ctrl-C (or SIGTERM) asks a command to finish its batch and keep its state; the second ends the process at once.
struct Interruption {
  private static let requests = Atomic<Int>(0)

  init() {
    for number in [SIGINT, SIGTERM] {
      signal(number) { _ in if Interruption.requests.wrappingAdd(1, ordering: .relaxed).oldValue > 0 { _exit(130) } }
    }
  }
  /// True after the first Ctrl-C.
  var isRequested: Bool { Self.requests.load(ordering: .relaxed) > 0 }
}
