// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Counts the rulesets that iptables-legacy makes, in the kernel, whether fpd runs or not: programs compare
/// the number for each packet. See fpm/live/replaces.bpf.c.
package final class ReplaceCounter {
  /// The map with the number, under the name that programs give it.
  package static let mapName = "fpd_replaces"
  private static let programName = "fpd_replacing"

  let map: Handle
  /// As long as it is open or pinned, the kernel counts.
  let link: Handle

  package init(_ source: ObjectSource) throws(DatapathError) {
    try Self.checkProcessors()
    let bytes = try source.object(
      "live/replaces.bpf.c", with: ["kernel/helpers.h", "kernel/numbers.h"])
    let loaded = try LoadedObject(bytes, name: "fpd_replaces")
    link = try RawTracepoint.attach("percpu_alloc_percpu", try loaded.program(Self.programName))
    let kept = fcntl(try loaded.map(ending: Self.mapName), F_DUPFD_CLOEXEC, 3)
    if kept < 0 {
      throw DatapathError("keeping the map \(Self.mapName)", String(cString: strerror(errno)))
    }
    map = Handle(owning: kept)
  }

  /// A predecessor's, pinned under these names; `nil` unless it is ours and still counts.
  init?(pinnedAt linkPath: String, _ mapPath: String) {
    guard let link = Handle(pinnedAt: linkPath), let map = Handle(pinnedAt: mapPath),
      Self.counts(link, map)
    else { return nil }
    self.link = link
    self.map = map
  }

  /// How many rulesets have been made; `nil` when the kernel does not answer.
  package var count: UInt64? {
    var place: UInt32 = 0
    var number: UInt64 = 0
    return bpf_map_lookup_elem(map.raw, &place, &number) == 0 ? number : nil
  }

  package var mapDescriptor: Int32 { map.raw }

  /// With a single possible processor the kernel does not allocate what is counted.
  static func checkProcessors() throws(DatapathError) {
    guard sysconf(Int32(_SC_NPROCESSORS_CONF)) < 2 else { return }
    throw DatapathError(
      "counting replaced tables of iptables-legacy", "a machine with one processor does not tell")
  }

  private static func counts(_ link: Handle, _ map: Handle) -> Bool {
    var attached = fpd_link()
    var number = fpd_map()
    guard fpd_link_read(link.raw, &attached) == 0,
      attached.type == FPD_LINK_RAW_TRACEPOINT,
      fpd_map_read(map.raw, &number) == 0, text(of: number.name) == mapName
    else { return false }
    let descriptor = bpf_prog_get_fd_by_id(attached.program)
    guard descriptor >= 0 else { return false }
    let program = Handle(owning: descriptor)
    var found = fpd_program()
    guard fpd_program_read(program.raw, &found) == 0, text(of: found.name) == programName else {
      return false
    }
    return withUnsafeBytes(of: found.maps) { raw in
      raw.bindMemory(to: UInt32.self).prefix(Int(found.maps_count)).contains(number.id)
    }
  }
}

enum RawTracepoint {
  /// Attached as long as the answer is open, or pinned.
  static func attach(
    _ name: String, _ program: OpaquePointer
  ) throws(DatapathError) -> Handle {
    let attached = bpf_raw_tracepoint_open(name, bpf_program__fd(program))
    if attached < 0 { throw DatapathError("attaching to the tracepoint \(name)", words(attached)) }
    return Handle(owning: attached)
  }
}
