// Ctrl-C.

import Foundation
import Synchronization

/// The first Ctrl-C (or SIGTERM, or SIGHUP when the terminal goes away) asks a command to finish its batch and keep its state; the second ends the process
/// at once.
struct Interruption {
  private static let requests = Atomic<Int>(0)
  /// A pipe: a request writes to its second end.
  private static let ends: (read: Int32, write: Int32) = {
    var pair: [Int32] = [-1, -1]
    _ = pipe(&pair)
    return (pair[0], pair[1])
  }()

  /// Where `endsAtOnce` is false, a second request does not end the process: for workers, which a terminal and their parent may both ask.
  init(endsAtOnce: Bool = true) {
    _ = Self.ends
    for number in [SIGINT, SIGTERM, SIGHUP] where number != SIGHUP || !Self.isIgnored(number) {
      if endsAtOnce {
        signal(number) { _ in if Interruption.request() > 0 { _exit(130) } }
      } else {
        signal(number) { _ in _ = Interruption.request() }
      }
    }
  }
  /// True for a process that nohup started.
  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    sigaction(number, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
  /// Counts a request; how many there were before.
  private static func request() -> Int {
    var byte: UInt8 = 0
    _ = write(ends.write, &byte, 1)
    return requests.wrappingAdd(1, ordering: .relaxed).oldValue
  }
  /// True after the first Ctrl-C.
  var isRequested: Bool { Self.requests.load(ordering: .relaxed) > 0 }

  /// Runs `body` on a thread of its own at the first request: to call off a wait.
  func whenRequested(_ body: @escaping @Sendable () -> Void) {
    Thread {
      var byte: UInt8 = 0
      while read(Self.ends.read, &byte, 1) < 0, errno == EINTR {}
      body()
    }.start()
  }
}
