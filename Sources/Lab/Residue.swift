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

  /// Programs and maps named fpd…, and links to such programs, that no living process holds.
  private static func bpfObjects() throws -> [String] {
    let programs = try listing("prog").filter(isOurs)
    let maps = try listing("map").filter(isOurs)
    let numbers = Set(programs.compactMap { $0["id"]?.int })
    let links = try listing("link").filter { numbers.contains($0["prog_id"]?.int ?? 0) }
    // Who holds what is asked after the listing: what is being loaded has a holder by then.
    let held = (programs.isEmpty && maps.isEmpty) ? Held() : Held.now()
    func orphans(_ objects: [JSON], _ kind: String, _ holding: Set<Int64>) -> [String] {
      objects.filter { !holding.contains($0["id"]?.int ?? 0) }
        .map { "BPF \(kind) \($0["name"]?.string ?? "") (id \($0["id"]?.int ?? 0))" }
    }
    return orphans(programs, "prog", held.programs) + orphans(maps, "map", held.maps)
      + orphans(links, "link", held.links)
  }

  private static func listing(_ kind: String) throws -> [JSON] {
    let text = try Command.run(["bpftool", "-j", kind, "show"]).check().output
    return text.isEmpty ? [] : try JSON(parsing: text).array ?? []
  }

  private static func isOurs(_ object: JSON) -> Bool {
    object["name"]?.string?.hasPrefix("fpd") ?? false
  }

  /// The BPF objects that living processes have open. (bpftool tells holders only when built with
  /// skeletons, which Debian's is not.)
  private struct Held {
    var programs: Set<Int64> = []
    var maps: Set<Int64> = []
    var links: Set<Int64> = []

    static func now() -> Held {
      var held = Held()
      for pid in Leftovers.entries(of: "/proc") where pid_t(pid) != nil {
        for number in Leftovers.entries(of: "/proc/\(pid)/fd")
        where isBPF("/proc/\(pid)/fd/\(number)") {
          held.take((try? TextFile.read("/proc/\(pid)/fdinfo/\(number)")) ?? "")
        }
      }
      return held
    }

    private static func isBPF(_ path: String) -> Bool {
      var target = [CChar](repeating: 0, count: 64)
      let count = readlink(path, &target, target.count)
      let text = target.prefix(max(0, count)).map { UInt8(bitPattern: $0) }
      return String(decoding: text, as: UTF8.self).hasPrefix("anon_inode:bpf")
    }

    private mutating func take(_ information: String) {
      for line in information.split(separator: "\n") {
        let words = line.split(whereSeparator: { $0 == ":" || $0.isWhitespace })
        guard words.count == 2, let number = Int64(words[1]) else { continue }
        switch words[0] {
        case "prog_id": programs.insert(number)
        case "map_id": maps.insert(number)
        case "link_id": links.insert(number)
        default: break
        }
      }
    }
  }

  private static func pins() -> [String] {
    Leftovers.entries(of: "/sys/fs/bpf").filter { $0.hasPrefix("fpd") }
      .map { "pin /sys/fs/bpf/\($0)" }
  }
}
