// scripts/setup on machines that lack something: every other program it calls is a stand-in.

import Foundation
import Testing

@Suite struct SetupTests {
  private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../scripts/setup")
    .standardizedFileURL

  /// Runs the script with nothing on the PATH but basic tools and the given stand-ins.
  private func setUp(_ programs: [String: String]) throws -> (code: Int32, stdout: String, stderr: String) {
    let folder = try TemporaryFolder()
    for tool in ["bash", "sed", "head", "tail", "mktemp", "rm", "env"] {
      let place = ["/usr/bin/", "/bin/"].map { $0 + tool }.first { FileManager.default.isExecutableFile(atPath: $0) }
      try FileManager.default.createSymbolicLink(atPath: folder.path(tool), withDestinationPath: try #require(place))
    }
    for (name, body) in programs {
      try Data("#!/bin/sh\n\(body)\n".utf8).write(to: URL(fileURLWithPath: folder.path(name)))
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path(name))
    }
    let process = Process()
    (process.executableURL, process.arguments) = (URL(fileURLWithPath: folder.path("bash")), [Self.script.path])
    process.environment = ["PATH": folder.path("")]
    let (output, errors) = (Pipe(), Pipe())
    (process.standardOutput, process.standardError) = (output, errors)
    try process.run()
    let texts = (output.fileHandleForReading.readDataToEndOfFile(), errors.fileHandleForReading.readDataToEndOfFile())
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: texts.0, as: UTF8.self), String(decoding: texts.1, as: UTF8.self))
  }
  private let swift = "echo 'Swift version 6.3.1 (swift-6.3.1-RELEASE)'"
  /// Has all packages but OpenBLAS.
  private let packages = "[ \"$2\" != openblas ]"

  @Test func completeMachinesAreLeftAlone() throws {
    let result = try setUp(["swift": swift, "pkg-config": "exit 0"])
    #expect(result.code == 0 && result.stdout.isEmpty && result.stderr.isEmpty, "\(result.stderr)")
  }
  @Test func toolchains() throws {
    let none = try setUp([:])
    #expect(
      none.code == 69
        && none.stderr.hasPrefix("error: no Swift toolchain found: expected swift 6.0 or later on the PATH\nhint: install one from"))
    let old = try setUp(["swift": "echo 'Swift version 5.9 (swift-5.9-RELEASE)'"])
    #expect(old.code == 69 && old.stderr.hasPrefix("error: Swift 5 found: expected 6.0 or later\nhint: "))
  }
  @Test func usersOtherThanRoot() throws {
    let (apt, user) = ("echo \"apt-get $*\"", "echo 1000")
    let helpless = try setUp(["swift": swift, "pkg-config": packages, "id": user, "apt-get": apt])
    #expect(helpless.code == 69 && helpless.stdout.isEmpty)
    #expect(
      helpless.stderr
        == "error: libopenblas-dev: not installed, and this user is not root and has no sudo\n"
        + "hint: type, as root: apt-get update && apt-get install -y libopenblas-dev\n")
    let refused = try setUp(["swift": swift, "pkg-config": packages, "id": user, "apt-get": apt, "sudo": "exit 1"])
    #expect(refused.code == 69 && refused.stderr.hasPrefix("error: libopenblas-dev: not installed, and sudo was refused\n"))
    let sudo = try setUp(["swift": swift, "pkg-config": packages, "id": user, "apt-get": apt, "sudo": "[ \"$1\" = -v ] || exec \"$@\""])
    #expect(sudo.code == 0 && sudo.stdout == "installing libopenblas-dev\n", "\(sudo.stderr)")
  }
  @Test func failingInstallations() throws {
    let failing = try setUp(["swift": swift, "pkg-config": packages, "id": "echo 0", "apt-get": "echo 'no network' >&2; exit 100"])
    #expect(failing.code == 69)
    #expect(
      failing.stderr.hasPrefix("no network\nerror: libopenblas-dev: not installed, and apt-get failed\nhint: type, as root: "),
      "\(failing.stderr)")
    let foreign = try setUp(["swift": swift, "pkg-config": packages, "id": "echo 0"])
    #expect(foreign.stderr.hasPrefix("error: libopenblas-dev: not installed, and there is no apt-get\n"))
  }
}
