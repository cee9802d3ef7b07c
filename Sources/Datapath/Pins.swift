// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// The names in a bpffs that keep attachments in place when fpd is killed: a directory for the network
/// namespace, in it one for each interface and hook with a link (or the program of a filter), the slot
/// and the counters.
package final class Pins {
  /// The directory of this network namespace.
  package let directory: String
  /// Where we mounted a bpffs of our own.
  private let ownMount: String?
  private static let files = [
    "link", "program", "program-qdisc", "slot", "stats", counting.link, counting.map,
  ]
  /// What counts the replaces of iptables-legacy is kept with each attachment: it has to live as long.
  private static let counting = (link: "counting", map: "replaces")
  /// Kept with whatever is attached.
  var replaces: ReplaceCounter? { didSet { countOn() } }

  /// `shared` is the system's bpffs; where it is none, one is mounted in `state`, a directory of ours.
  /// `namespace` is the number of the network namespace.
  package init(
    shared: String = "/sys/fs/bpf", state: String, namespace: UInt32
  ) throws(DatapathError) {
    if fpd_bpffs_is(shared) == 1 {
      ownMount = nil
      directory = "\(shared)/fpd-\(namespace)"
    } else {
      let place = "\(state)/bpf"
      try Self.mount(at: place)
      ownMount = place
      directory = "\(place)/fpd-\(namespace)"
    }
    do throws(DatapathError) { try Self.make(directory) } catch {
      unmount()
      throw error
    }
    sweep()
  }

  /// Removes what is left of namespaces that are gone: links whose interface is.
  private func sweep() {
    guard let end = directory.lastIndex(of: "/") else { return }
    let base = directory[..<end]
    for name in directoryEntries(String(base)) ?? [] where name.hasPrefix("fpd-") {
      let other = "\(base)/\(name)"
      guard other != directory else { continue }
      for place in directoryEntries(other) ?? [] where Adoption.isDead("\(other)/\(place)/link") {
        Self.clear("\(other)/\(place)")
      }
      rmdir(other)
    }
  }

  private static func mount(at place: String) throws(DatapathError) {
    try make(place)
    if fpd_bpffs_is(place) == 1 { return }  // a predecessor's
    let code = fpd_bpffs_mount(place)
    if code != 0 { throw DatapathError("mounting a bpffs at \(place)", words(code)) }
  }

  /// Makes a directory, or takes one that nobody else can have made or can change.
  private static func make(_ path: String) throws(DatapathError) {
    if mkdir(path, 0o700) == 0 { return }
    let code = errno
    guard code == EEXIST else {
      throw DatapathError("making the directory \(path)", String(cString: strerror(code)))
    }
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
      [0, geteuid()].contains(status.st_uid), status.st_mode & 0o022 == 0
    else {
      throw DatapathError("using the directory \(path)", "it is not ours alone")
    }
  }

  private func path(_ interface: Int32, _ hook: Hook) -> String {
    "\(directory)/\(interface)-\(hook.rawValue)"
  }

  /// Pins the parts of an attachment.
  func keep(
    _ grip: Attachment.Grip, _ interface: Int32, _ hook: Hook, slot: Handle, stats: Handle
  ) throws(DatapathError) {
    let place = path(interface, hook)
    remove(interface, hook)
    try Self.make(directory)  // another fpd may have found it empty
    try Self.make(place)
    var parts = [("slot", slot), ("stats", stats)]
    if let replaces {
      parts += [(Self.counting.link, replaces.link), (Self.counting.map, replaces.map)]
    }
    switch grip {
    case .link(let link): parts.append(("link", link))
    case .filter(let program, let ownsQdisc):
      parts.append((ownsQdisc ? "program-qdisc" : "program", program))
    }
    for (name, handle) in parts {
      let code = bpf_obj_pin(handle.raw, "\(place)/\(name)")
      if code != 0 {
        remove(interface, hook)
        throw DatapathError("pinning \(place)/\(name)", words(code))
      }
    }
  }

  /// The counter that a predecessor's programs compare with.
  func adoptCounter() -> ReplaceCounter? {
    for place in places {
      let counter = ReplaceCounter(
        pinnedAt: "\(place)/\(Self.counting.link)", "\(place)/\(Self.counting.map)")
      if let counter { return counter }
    }
    return nil
  }

  /// Keeps the counter also with what a predecessor attached, in place of its own.
  private func countOn() {
    for place in places {
      let names = [Self.counting.link, Self.counting.map]
      for name in names { unlink("\(place)/\(name)") }
      guard let replaces else { continue }
      bpf_obj_pin(replaces.link.raw, "\(place)/\(names[0])")
      bpf_obj_pin(replaces.map.raw, "\(place)/\(names[1])")
    }
  }

  private var places: [String] {
    (directoryEntries(directory) ?? []).map { "\(directory)/\($0)" }
  }

  /// Unpins an attachment.
  package func remove(_ interface: Int32, _ hook: Hook) {
    Self.clear(path(interface, hook))
  }

  private static func clear(_ place: String) {
    for name in files { unlink("\(place)/\(name)") }
    rmdir(place)
  }

  /// What a predecessor left on interfaces that still have it; everything else it left is removed.
  package func adopt() -> [Attachment] {
    var adopted: [Attachment] = []
    for name in directoryEntries(directory) ?? [] {
      let halves = name.split(separator: "-", maxSplits: 1)
      guard halves.count == 2, let interface = Int32(halves[0]),
        let hook = Hook(rawValue: String(halves[1]))
      else { continue }
      let place = "\(directory)/\(name)"
      if let attachment = Adoption.attachment(at: place, interface, hook) {
        adopted.append(attachment)
      } else {
        Adoption.discard(at: place, interface, hook)
        Self.clear(place)
      }
    }
    return adopted
  }

  /// Removes every pin of this namespace, and the mount when it is ours and nobody else uses it. The
  /// attachments must have been detached.
  package func removeAll() {
    for name in directoryEntries(directory) ?? [] { Self.clear("\(directory)/\(name)") }
    rmdir(directory)
    unmount()
  }

  private func unmount() {
    guard let ownMount, !Self.isUsed(ownMount) else { return }
    if umount2(ownMount, 0) == 0 { rmdir(ownMount) }
  }

  /// Whether anything is pinned in a bpffs, or about to be. Kernels put files of their own at the top,
  /// and tc makes
  /// directories and symbolic links in the first bpffs it finds.
  private static func isUsed(_ place: String, depth: Int = 0) -> Bool {
    for name in directoryEntries(place) ?? [] {
      var status = stat()
      guard lstat("\(place)/\(name)", &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        let isOurs = depth == 0 && name.hasPrefix("fpd-")
        if isOurs || depth > 4 || isUsed("\(place)/\(name)", depth: depth + 1) { return true }
      } else if status.st_mode & S_IFMT == S_IFREG, depth > 0 || !name.hasSuffix(".debug") {
        return true
      }
    }
    return false
  }
}
