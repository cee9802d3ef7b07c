// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Tells a predecessor's attachment that still works from one that does not.
enum Adoption {
  /// What is pinned at `place`, if it is complete, our own, and on that interface of this namespace.
  static func attachment(at place: String, _ interface: Int32, _ hook: Hook) -> Attachment? {
    guard let slot = map("\(place)/slot", "fpd_slot", BPF_MAP_TYPE_PROG_ARRAY),
      let stats = map("\(place)/stats", "fpd_stats", BPF_MAP_TYPE_PERCPU_ARRAY),
      let grip = link(place, interface, hook, slot) ?? filter(place, interface, hook, slot)
    else { return nil }
    return Attachment(adopting: grip, interface, hook, slot: slot, statsMap: stats)
  }

  /// Takes down what `attachment` found no use for, before its pins go.
  static func discard(at place: String, _ interface: Int32, _ hook: Hook) {
    if let link = Handle(pinnedAt: "\(place)/link"), isOurs(link) { bpf_link_detach(link.raw) }
    for (name, ownsQdisc) in [("program", false), ("program-qdisc", true)] {
      if let program = Handle(pinnedAt: "\(place)/\(name)") {
        removeFilter(program, interface, ownsQdisc: ownsQdisc)
      }
    }
  }

  /// Whether a link of ours is pinned there whose interface is gone.
  static func isDead(_ path: String) -> Bool {
    guard let link = Handle(pinnedAt: path), isOurs(link) else { return false }
    var found = fpd_link()
    return fpd_link_read(link.raw, &found) == 0 && found.ifindex == 0
      && (found.type == FPD_LINK_XDP || found.type == FPD_LINK_TCX)
  }

  /// Removes our filter, and the qdisc when it is ours and nobody else has filters in it. Where our
  /// filter is gone, there is no telling whose the qdisc is.
  static func removeFilter(_ program: Handle, _ interface: Int32, ownsQdisc: Bool) {
    guard isFilter(program, on: interface) else { return }
    fpd_clsact_detach(UInt32(interface))
    if ownsQdisc { fpd_clsact_remove(UInt32(interface)) }
  }

  /// Whether a program stands in fpd's place in clsact.
  static func isFilter(_ program: Handle, on interface: Int32) -> Bool {
    guard let id = read(program)?.id else { return false }
    return id == filterProgram(interface)
  }

  private static func isOurs(_ link: Handle) -> Bool {
    var found = fpd_link()
    guard fpd_link_read(link.raw, &found) == 0 else { return false }
    let program = bpf_prog_get_fd_by_id(found.program)
    guard program >= 0 else { return false }
    return read(Handle(owning: program)).map { text(of: $0.name).hasPrefix("fpd_entry_") } ?? false
  }

  private static func map(_ path: String, _ name: String, _ type: bpf_map_type) -> Handle? {
    guard let handle = Handle(pinnedAt: path) else { return nil }
    var found = fpd_map()
    guard fpd_map_read(handle.raw, &found) == 0, text(of: found.name) == name,
      found.type == type.rawValue, name != "fpd_stats" || found.entries == Counters.count,
      name != "fpd_stats" || found.value_size == 16
    else { return nil }
    return handle
  }

  private static func link(
    _ place: String, _ interface: Int32, _ hook: Hook, _ slot: Handle
  ) -> Attachment.Grip? {
    guard let link = Handle(pinnedAt: "\(place)/link") else { return nil }
    var found = fpd_link()
    guard fpd_link_read(link.raw, &found) == 0, found.ifindex == UInt32(interface),
      isEntry(found.program, hook, slot)
    else { return nil }
    // The number of an interface says nothing by itself: another namespace may have one of the same.
    let stands: Bool
    if hook.isXDP {
      let program = fpd_xdp_program(UInt32(interface), hook == .genericXDP)
      stands = found.type == FPD_LINK_XDP && program == Int64(found.program)
    } else {
      stands =
        found.type == FPD_LINK_TCX && found.attach_type == FPD_TCX_INGRESS
        && fpd_tcx_has(UInt32(interface), found.program) == 1
    }
    return stands ? .link(link) : nil
  }

  private static func filter(
    _ place: String, _ interface: Int32, _ hook: Hook, _ slot: Handle
  ) -> Attachment.Grip? {
    guard hook == .tc else { return nil }
    for (name, ownsQdisc) in [("program", false), ("program-qdisc", true)] {
      guard let program = Handle(pinnedAt: "\(place)/\(name)"), let id = read(program)?.id,
        isEntry(id, hook, slot), filterProgram(interface) == id
      else { continue }
      return .filter(program, ownsQdisc: ownsQdisc)
    }
    return nil
  }

  private static func filterProgram(_ interface: Int32) -> UInt32? {
    let id = fpd_clsact_program(UInt32(interface))
    return id > 0 ? UInt32(id) : nil
  }

  private static func read(_ program: Handle) -> fpd_program? {
    var found = fpd_program()
    return fpd_program_read(program.raw, &found) == 0 ? found : nil
  }

  /// Whether a program is our entry for the hook, and jumps by that slot.
  private static func isEntry(_ program: UInt32, _ hook: Hook, _ slot: Handle) -> Bool {
    let descriptor = bpf_prog_get_fd_by_id(program)
    guard descriptor >= 0 else { return false }
    var map = fpd_map()
    guard let found = read(Handle(owning: descriptor)),
      [hook.entryName, hook.sharedEntryName].contains(text(of: found.name)),
      fpd_map_read(slot.raw, &map) == 0
    else { return false }
    return withUnsafeBytes(of: found.maps) { raw in
      raw.bindMemory(to: UInt32.self).prefix(Int(found.maps_count)).contains(map.id)
    }
  }
}
