// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab

/// Daemons of FRR in a namespace, each with what it needs in a directory of its own.
final class RoutingDaemons {
  private static let programs = "/usr/lib/frr"

  static var areInstalled: Bool {
    let needed = ["zebra", "bgpd", "ospfd"].map { "\(programs)/\($0)" } + ["/usr/bin/vtysh"]
    return needed.allSatisfy { path in access(path, X_OK) == 0 }
  }

  private let namespace: Namespace
  private let directory: TemporaryDirectory
  private var daemons: [Background] = []

  init(in namespace: Namespace) throws {
    self.namespace = namespace
    directory = try TemporaryDirectory("routing")
    // They give up being root.
    try Command.run(["chown", "frr:frr", directory.path]).check()
  }

  deinit { for daemon in daemons { daemon.stop() } }

  func start(_ daemon: String, options: [String] = [], _ configuration: String) throws {
    let path = directory.path
    try directory.write("\(daemon).conf", configuration)
    try Command.run(["chmod", "644", "\(path)/\(daemon).conf"]).check()
    let process = try namespace.start(
      ["\(Self.programs)/\(daemon)", "-f", "\(path)/\(daemon).conf", "-i", "\(path)/\(daemon).pid"]
        + ["-z", "\(path)/zserv", "--vty_socket", path, "-P", "0", "--log", "stdout"] + options)
    daemons.append(process)
    let answers = eventually(within: .seconds(30)) {
      access("\(path)/\(daemon).vty", F_OK) == 0 || !process.isRunning
    }
    guard answers, process.isRunning else {
      throw LabError("\(daemon) did not start; it said:\n\(process.output)")
    }
  }

  /// What one would type into vtysh.
  @discardableResult func type(_ lines: String...) throws -> String {
    try namespace.run(
      ["vtysh", "--vty_socket", directory.path] + lines.flatMap { ["-c", $0] }
    ).output
  }

  /// All they have said.
  var log: String { daemons.map(\.output).joined() }

  func stop() {
    for daemon in daemons { daemon.stop() }
    daemons = []
  }
}
