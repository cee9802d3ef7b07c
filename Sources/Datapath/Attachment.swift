// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// fpd's place on one hook of one interface: the entry program on the hook, the slot it jumps to, and
/// the counters of whatever program is in the slot.
package final class Attachment {
  package let interface: Int32
  package let hook: Hook
  let slot: Handle
  /// Which slot of the array is this interface's.
  private let slotNumber: UInt32
  /// Whether other interfaces have theirs in it.
  private let sharesSlots: Bool
  let statsMap: Handle
  let grip: Grip
  private(set) var program: Program?
  private(set) var isAttached = true
  /// What takes a program's place in the slot; without it the slot is emptied, which takes longer.
  var idle: Program?

  /// What holds the entry program on the hook.
  enum Grip {
    case link(Handle)
    /// A filter in clsact; the qdisc is ours when we made it.
    case filter(Handle, ownsQdisc: Bool)
  }

  /// Attaches to an interface; nothing of anybody else's is replaced.
  package convenience init(
    to interface: Int32, hook: Hook, entry: EntryObject, preferClsact: Bool = false
  ) throws(AttachError) {
    try self.init(to: interface, hook: hook, entry: entry, preferClsact: preferClsact, pins: nil)
  }

  init(
    to interface: Int32, hook: Hook, entry: EntryObject, preferClsact: Bool, pins: Pins?,
    shared: SharedEntry? = nil
  ) throws(AttachError) {
    let program: Program
    do throws(DatapathError) {
      statsMap = try Loader.makeMap(
        BPF_MAP_TYPE_PERCPU_ARRAY, "fpd_stats", valueSize: 16, entries: UInt32(Counters.count))
      if let shared, let shares = try shared.place(for: interface, hook) {
        slot = shares.slots
        program = shares.program
      } else {
        slot = try Loader.makeMap(BPF_MAP_TYPE_PROG_ARRAY, "fpd_slot", valueSize: 4, entries: 1)
        program = try Loader.load(
          entry.bytes, program: hook.entryName, maps: ["fpd_slot": slot.raw])
      }
    } catch { throw AttachError(.refused, error) }
    sharesSlots = Self.isShared(slot)
    slotNumber = sharesSlots ? UInt32(interface) : 0
    self.interface = interface
    self.hook = hook
    grip = try Self.attach(program, interface, hook, slot, statsMap, preferClsact, pins)
  }

  /// What a predecessor left, found to be in order.
  init(adopting grip: Grip, _ interface: Int32, _ hook: Hook, slot: Handle, statsMap: Handle) {
    self.grip = grip
    self.interface = interface
    self.hook = hook
    self.slot = slot
    self.statsMap = statsMap
    sharesSlots = Self.isShared(slot)
    slotNumber = sharesSlots ? UInt32(interface) : 0
  }

  /// Loads the program of an object for this place, without starting it.
  package func load(
    _ object: [UInt8], config: [UInt8], replaces: ReplaceCounter? = nil
  ) throws(DatapathError) -> Program {
    try load(object, config: config, replaces: replaces, routes: nil)
  }

  func load(
    _ object: [UInt8], config: [UInt8], replaces: ReplaceCounter? = nil, rules: RuleMaps? = nil,
    shadow: ShadowObserver? = nil, requests: ConnectionRequests? = nil, routes: KeptRoutes?
  ) throws(DatapathError) -> Program {
    var maps = rules?.byName ?? [:]
    if let routes { maps[KeptRoutes.mapName] = routes.map.raw }
    if let shadow { maps.merge(shadow.byName) { $1 } }
    if let requests { maps[ConnectionRequests.mapName] = requests.map.raw }
    maps["fpd_stats"] = statsMap.raw
    if let replaces { maps[ReplaceCounter.mapName] = replaces.map.raw }
    return try Loader.load(object, program: hook.programName, maps: maps, config: config)
  }

  /// From the next packet on, `program` has them.
  package func swap(_ program: Program) throws(DatapathError) {
    var place = slotNumber
    var descriptor = program.descriptor
    let code = bpf_map_update_elem(slot.raw, &place, &descriptor, 0)
    if code != 0 { throw DatapathError("starting \(program.name)", words(code)) }
    self.program = program
  }

  /// Packets take the kernel's path from now on, although the hook is still ours.
  func empty() {
    program = nil
    var place = slotNumber
    if isAttached, var descriptor = idle?.descriptor,
      bpf_map_update_elem(slot.raw, &place, &descriptor, 0) == 0
    {
      return
    }
    bpf_map_delete_elem(slot.raw, &place)
  }

  /// Whether nobody has taken the hook away: the interface with it, or a tool by force.
  package var isStanding: Bool {
    switch grip {
    case .link(let link):
      var found = fpd_link()
      return fpd_link_read(link.raw, &found) == 0 && found.ifindex == UInt32(interface)
    case .filter(let entry, _): return Adoption.isFilter(entry, on: interface)
    }
  }

  /// Gives the hook up. Kernels take some tens of milliseconds for it.
  package func detach() {
    guard isAttached else { return }
    // Packets pass by from here on; the slot is freed when none comes any more.
    empty()
    isAttached = false
    // One that is this interface's alone goes with us.
    defer { if sharesSlots { empty() } }
    switch grip {
    case .link(let link):
      // Closing is not enough as long as it is pinned.
      bpf_link_detach(link.raw)
    case .filter(let entry, let ownsQdisc):
      Adoption.removeFilter(entry, interface, ownsQdisc: ownsQdisc)
    }
  }

  private static func isShared(_ slots: Handle) -> Bool {
    var map = fpd_map()
    return fpd_map_read(slots.raw, &map) == 0 && map.entries > 1
  }

  /// The counters since the attachment was made.
  package func counters() throws(DatapathError) -> [Counter] {
    try Counters.read(statsMap.raw)
  }
}

/// fpm/entry.bpf.c, compiled.
package struct EntryObject: Sendable {
  let bytes: [UInt8]

  /// Compiles it, or takes it from the cache, and warms libbpf up with it.
  package init(_ source: ObjectSource) throws(DatapathError) {
    bytes = try source.object("entry.bpf.c", with: ["kernel/helpers.h", "kernel/numbers.h"])
    try Loader.warmUp(bytes)
  }
}

/// One entry program for all interfaces with XDP, and their slots.
final class SharedEntry {
  /// Interfaces of higher numbers get an entry of their own.
  private static let slotsCount: UInt32 = 4096

  private let entry: EntryObject
  private var place: (slots: Handle, program: Program)?

  init(_ entry: EntryObject) { self.entry = entry }

  /// Lets go of what no interface has any more.
  func release() { place = nil }

  func place(
    for interface: Int32, _ hook: Hook
  ) throws(DatapathError) -> (slots: Handle, program: Program)? {
    guard hook.isXDP, let name = hook.sharedEntryName, UInt32(interface) < Self.slotsCount else {
      return nil
    }
    if let place { return place }
    let slots = try Loader.makeMap(
      BPF_MAP_TYPE_PROG_ARRAY, "fpd_slot", valueSize: 4, entries: Self.slotsCount)
    let program = try Loader.load(entry.bytes, program: name, maps: ["fpd_slot": slots.raw])
    place = (slots, program)
    return place
  }
}
