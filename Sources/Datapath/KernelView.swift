// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Runs the programs of `fpm/live/view.bpf.c`: what the kernel of this namespace is configured to do
/// where no netlink family tells it.
package final class KernelView {
  private let object: LoadedObject
  private let area: UnsafeMutablePointer<view_area>
  private let identityProgram: Int32
  private let hooksProgram: Int32
  private let devicesProgram: Int32

  package init(_ source: ObjectSource) throws(DatapathError) {
    let bytes = try source.object(
      "live/view.bpf.c", with: ["live/view.h", "kernel/helpers.h", "kernel/numbers.h"])
    let loaded = try LoadedObject(bytes, name: "fpd_view")
    area = try loaded.globals(as: view_area.self)
    identityProgram = bpf_program__fd(try loaded.program("fpd_identity"))
    hooksProgram = bpf_program__fd(try loaded.program("fpd_hooks"))
    devicesProgram = bpf_program__fd(try loaded.program("fpd_devices"))
    object = loaded
  }

  deinit { munmap(area, (MemoryLayout<view_area>.size + 4095) & ~4095) }

  package func identity() throws(DatapathError) -> view_identity {
    try run(identityProgram, "identity")
    return area.pointee.identity
  }

  /// One netfilter hook as the program recorded it.
  package struct Hook {
    package var family: UInt8
    package var point: UInt8
    package var priority: Int32
    package var address: UInt64
    /// What the function is called with.
    package var owner: UInt64
    /// Of a table of iptables-legacy, where it keeps the address of its ruleset, and that; else 0.
    package var rulesetPlace: UInt64
    package var ruleset: UInt64
    package var function: String
    package var table: String
    package var chain: String
  }

  package func hooks() throws(DatapathError) -> [Hook] {
    try run(hooksProgram, "hooks")
    let count = Int(area.pointee.hooks_count)
    if count >= Int(VIEW_HOOKS_MAX) {
      throw DatapathError("listing netfilter hooks", "there are more than \(count - 1)")
    }
    return withUnsafeBytes(of: &area.pointee.hooks) { records in
      records.bindMemory(to: view_hook.self).prefix(count).map { record in
        Hook(
          family: record.family, point: record.hook, priority: record.priority,
          address: record.address, owner: record.owner, rulesetPlace: record.ruleset_place,
          ruleset: record.ruleset,
          function: text(of: record.function), table: text(of: record.table),
          chain: text(of: record.chain))
      }
    }
  }

  /// The number of the last commit to nftables, and where the kernel has it.
  package struct Generation {
    package var place: UInt64
    package var number: UInt32
    /// It has been incremented, and the rules in force are still the former ones: nf_tables_commit().
    package var isUnderWay: Bool
  }

  /// As `hooks` last found it; `nil` where this kernel does not tell.
  package var generation: Generation? {
    let found = area.pointee
    guard found.generation_place != 0 else { return nil }
    // The first generation is 1 with the cursor at 0; both move with each commit.
    return Generation(
      place: found.generation_place, number: found.generation,
      isUnderWay: found.generation & 1 == found.generation_cursor & 1)
  }

  /// One device as the program recorded it.
  package struct Device {
    package var index: Int32
    package var record: view_device
    package var receiveHandler: String
  }

  package func devices(_ indexes: [Int32]) throws(DatapathError) -> [Device] {
    var found: [Device] = []
    found.reserveCapacity(indexes.count)
    let chunk = Int(VIEW_DEVICES_MAX)
    for start in stride(from: 0, to: indexes.count, by: chunk) {
      let asked = indexes[start..<min(start + chunk, indexes.count)]
      withUnsafeMutableBytes(of: &area.pointee.devices) { raw in
        let records = raw.bindMemory(to: view_device.self)
        for (place, index) in asked.enumerated() { records[place].ifindex = index }
      }
      area.pointee.devices_count = UInt32(asked.count)
      try run(devicesProgram, "devices")
      withUnsafeBytes(of: &area.pointee.devices) { raw in
        for record in raw.bindMemory(to: view_device.self).prefix(asked.count)
        where record.found != 0 {
          found.append(
            Device(
              index: record.ifindex, record: record, receiveHandler: text(of: record.rx_handler)))
        }
      }
    }
    return found
  }

  /// Taps on all devices as `devices` last found them; `nil` where this kernel does not tell them apart
  /// by namespace (before 6.16).
  package var namespaceTaps: UInt32? {
    let taps = area.pointee.namespace_taps
    return taps == VIEW_TAPS_UNKNOWN ? nil : taps
  }

  private func run(_ program: Int32, _ name: String) throws(DatapathError) {
    if fpd_bpf_run(program) != 0 {
      throw DatapathError("running the program \(name)", String(cString: strerror(errno)))
    }
  }
}
