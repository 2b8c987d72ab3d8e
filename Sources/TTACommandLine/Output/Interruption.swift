// Ctrl-C.

import Foundation
import Synchronization

/// The first Ctrl-C (or SIGTERM) asks a command to finish its batch and keep its state; the second ends the process at once.
struct Interruption {
  private static let requests = Atomic<Int>(0)

  /// Where `endsAtOnce` is false, a second request does not end the process: for workers, which a terminal and their parent may both ask.
  init(endsAtOnce: Bool = true) {
    for number in [SIGINT, SIGTERM] {
      if endsAtOnce {
        signal(number) { _ in if Interruption.requests.wrappingAdd(1, ordering: .relaxed).oldValue > 0 { _exit(130) } }
      } else {
        signal(number) { _ in _ = Interruption.requests.wrappingAdd(1, ordering: .relaxed) }
      }
    }
  }
  /// True after the first Ctrl-C.
  var isRequested: Bool { Self.requests.load(ordering: .relaxed) > 0 }
}
