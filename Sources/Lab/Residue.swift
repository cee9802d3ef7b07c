// SPDX-License-Identifier: Apache-2.0
import Glibc
import OrderedJSON

/// What is left in the kernel that nobody uses any more.
public enum Residue {
  /// What this process made and did not remove, what dead lab processes left, and BPF objects named
  /// fpd… that no living process holds. BPF objects die some time after their last user: asked again
  /// until `limit` passes.
  public static func find(within limit: Duration = .seconds(2)) throws -> [String] {
    var found: [String] = []
    _ = try eventually(within: limit, every: .milliseconds(20)) {
      found = try Leftovers.present + orphans() + bpfObjects() + pins()
      return found.isEmpty
    }
    return found
  }

  /// Namespaces, directories and processes of lab processes that no longer live.
  private static func orphans() -> [String] {
    func dead(_ name: String) -> Bool {
      guard let owner = Leftovers.owner(of: name) else { return false }
      return Glibc.kill(owner, 0) < 0 && errno == ESRCH
    }
    let namespaces = Leftovers.entries(of: Namespace.directory).filter(dead)
    let processes = namespaces.flatMap { name in
      Namespace.processes(inNamespaceAt: "\(Namespace.directory)/\(name)").map {
        "process \($0) in namespace \(name)"
      }
    }
    let directories = Leftovers.entries(of: TemporaryDirectory.parent).filter(dead)
    return namespaces.map { "namespace \($0)" } + processes + directories.map { "directory \($0)" }
  }

  /// Programs, maps and links named fpd… without a living holder.
  private static func bpfObjects() throws -> [String] {
    try ["prog", "map", "link"].flatMap { kind in
      let listing = try Command.run(["bpftool", "-j", kind, "show"]).check()
      guard let objects = try JSON(parsing: listing.output).array else { return [String]() }
      return objects.compactMap { object in
        guard let name = object["name"]?.string, name.hasPrefix("fpd"), !isHeld(object) else {
          return nil
        }
        return "BPF \(kind) \(name) (id \(object["id"]?.int ?? 0))"
      }
    }
  }

  private static func isHeld(_ object: JSON) -> Bool {
    object["pids"]?.array?.contains { holder in
      guard let pid = holder["pid"]?.int else { return false }
      return Glibc.kill(pid_t(pid), 0) == 0
    } ?? false
  }

  private static func pins() -> [String] {
    Leftovers.entries(of: "/sys/fs/bpf").filter { $0.hasPrefix("fpd") }
      .map { "pin /sys/fs/bpf/\($0)" }
  }
}
