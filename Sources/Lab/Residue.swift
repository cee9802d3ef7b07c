// SPDX-License-Identifier: Apache-2.0
import CLoad
import Glibc
import Synchronization

/// What is left in the kernel that nobody uses any more.
public enum Residue {
  /// What this process made and did not remove, what dead lab processes left, and BPF objects named
  /// fpd… that no living process holds, all beside what was there when the process began. BPF objects
  /// die some time after their last user: asked again until `limit` passes.
  public static func find(within limit: Duration = .seconds(2)) -> [String] {
    var found: [String] = []
    var search = Search()
    _ = eventually(within: limit, every: .milliseconds(20)) {
      found = Leftovers.present + orphans() + bpfObjects(&search) + pins()
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
  private static func bpfObjects(_ search: inout Search) -> [String] {
    let old = before.withLock { $0 } ?? Present()
    let now = Present.now()
    // Who holds what is asked after the listing: what is being loaded has a holder by then.
    let held = Held.now()
    let programs = now.programs.subtracting(old.programs).filter { isOurs(search.program($0)) }
    let links = now.links.subtracting(old.links).subtracting(held.links)
      .filter { programs.contains(load_link_program($0)) }
    let maps = search.maps(now.maps.subtracting(old.maps).subtracting(held.maps))
    return programs.subtracting(held.programs).sorted()
      .map { "BPF prog \(search.program($0)) (id \($0))" }
      + maps.map { "BPF map \($0.name ?? "") (id \($0.id))" }
      + links.sorted().map { "BPF link (id \($0))" }
  }

  private static func isOurs(_ name: String) -> Bool { name.hasPrefix("fpd") }

  /// The numbers of all BPF objects there are.
  struct Present {
    var programs: Set<UInt32> = []
    var maps: Set<UInt32> = []
    var links: Set<UInt32> = []
    var pins: Set<String> = []

    static func now() -> Present {
      func all(_ kind: load_kind) -> Set<UInt32> {
        var found: Set<UInt32> = []
        var id: UInt32 = 0
        while true {
          id = load_next_id(kind, id)
          if id == 0 { return found }
          found.insert(id)
        }
      }
      return Present(
        programs: all(LOAD_PROGRAM), maps: all(LOAD_MAP), links: all(LOAD_LINK),
        pins: Set(Leftovers.entries(of: "/sys/fs/bpf").filter { $0.hasPrefix("fpd") }))
    }
  }

  /// How many BPF objects there are in the kernel, whoever's.
  public struct Objects: Equatable, Sendable, CustomStringConvertible {
    public let programs, maps, links: Int
    public var description: String { "\(programs), \(maps), \(links)" }
  }

  public static func objectsNow() -> Objects {
    let now = Present.now()
    return Objects(programs: now.programs.count, maps: now.maps.count, links: now.links.count)
  }

  /// What was there before this process made anything: it is none of its residue.
  private static let before = Mutex<Present?>(nil)

  static func begin() { before.withLock { if $0 == nil { $0 = .now() } } }

  /// What one search has found out. The kernel tells a map's name only to who opens it, and a prog array
  /// that is opened while it is being freed stays for ever: what is not there any more some time after
  /// nobody held it is not looked at.
  private struct Search {
    private static let patience = Duration.milliseconds(300)
    private var unheld: [UInt32: Instant] = [:]
    private var mapNames: [UInt32: String] = [:]
    private var programNames: [UInt32: String] = [:]

    mutating func program(_ id: UInt32) -> String {
      if let known = programNames[id] { return known }
      let name = Residue.programName(id)
      programNames[id] = name
      return name
    }

    /// Those of ours among maps that nobody holds, and those of which it cannot be said yet.
    mutating func maps(_ now: Set<UInt32>) -> [(id: UInt32, name: String?)] {
      unheld = unheld.filter { now.contains($0.key) }
      var found: [(id: UInt32, name: String?)] = []
      for id in now.sorted() {
        let since = unheld[id] ?? .now
        unheld[id] = since
        if mapNames[id] == nil, Instant.now - since >= Self.patience {
          mapNames[id] = Residue.name { load_map_name(id, $0) }
        }
        if mapNames[id].map(isOurs) ?? true { found.append((id, mapNames[id])) }
      }
      return found
    }
  }

  /// The name of a program, empty when it is gone.
  static func programName(_ id: UInt32) -> String { name { load_program_name(id, $0) } }

  private static func name(_ ask: (UnsafeMutablePointer<CChar>) -> Int32) -> String {
    var name = [CChar](repeating: 0, count: Int(LOAD_NAME) + 1)
    guard ask(&name) == 0 else { return "" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The BPF objects that living processes have open. (bpftool tells holders only when built with
  /// skeletons, which Debian's is not, and opens every map.)
  private struct Held {
    var programs: Set<UInt32> = []
    var maps: Set<UInt32> = []
    var links: Set<UInt32> = []

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
        guard words.count == 2, let number = UInt32(words[1]) else { continue }
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
    let old = before.withLock { $0?.pins } ?? []
    return Present.now().pins.subtracting(old).sorted().map { "pin /sys/fs/bpf/\($0)" }
  }
}
