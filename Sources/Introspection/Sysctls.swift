// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The namespace-wide settings that change forwarding. `nil`: this kernel, as it runs, has no such
/// setting (a module that is not loaded).
package struct Sysctls: Equatable, Sendable {
  package var forwarding = false
  package var forwarding6 = false
  package var all = DeviceSettings()
  package var multipathHashPolicy: Int?
  package var multipathHashPolicy6: Int?
  package var updatePriority: Int?
  package var bridgeCallIPTables: Int?
  package var bridgeCallIP6Tables: Int?
  package var bridgeCallARPTables: Int?
  package var bridgeFilterVLANTagged: Int?
  package var conntrackLiberal: Int?
  package var conntrackAccounting: Int?
  package var conntrackTimestamps: Int?

  package init() {}
}

/// Reads settings from /proc/sys/net of the namespace fpd runs in, keeping the files open: asking
/// twenty times a second whether any has changed must cost next to nothing.
package final class SysctlReader {
  private static let names = [
    "ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/all/rp_filter",
    "ipv4/conf/all/accept_local", "ipv4/conf/all/route_localnet", "ipv4/conf/all/send_redirects",
    "ipv4/conf/all/shared_media", "ipv4/conf/all/src_valid_mark",
    "ipv4/conf/all/accept_source_route", "ipv4/conf/all/log_martians",
    "ipv4/fib_multipath_hash_policy", "ipv6/fib_multipath_hash_policy",
    "ipv4/ip_forward_update_priority", "bridge/bridge-nf-call-iptables",
    "bridge/bridge-nf-call-ip6tables", "bridge/bridge-nf-call-arptables",
    "bridge/bridge-nf-filter-vlan-tagged", "netfilter/nf_conntrack_tcp_be_liberal",
    "netfilter/nf_conntrack_acct", "netfilter/nf_conntrack_timestamp",
  ]

  private let root: String
  private var files: [Int32]
  private var last: [Int?] = []

  package init(root: String = "/proc/sys/net/") {
    self.root = root
    files = Array(repeating: -1, count: Self.names.count)
  }

  deinit { for file in files where file >= 0 { close(file) } }

  /// Of `names`, from here on: settings that belong to no device, so that neither netconf nor a look at
  /// the devices' settings tells of them.
  private static let beyondDevices = 10

  /// Whether a setting differs from what `read` last returned; all are looked at, or only those that
  /// belong to no device.
  package func hasChanged(all: Bool) -> Bool {
    let first = all ? 0 : Self.beyondDevices
    return last.isEmpty || (first..<Self.names.count).contains { value($0) != last[$0] }
  }

  package func read() -> Sysctls {
    last = values()
    var sysctls = Sysctls()
    func on(_ index: Int) -> Bool { last[index] ?? 0 != 0 }
    sysctls.forwarding = on(0)
    sysctls.forwarding6 = on(1)
    sysctls.all.rpFilter = UInt8(clamping: last[2] ?? 0)
    sysctls.all.acceptLocal = on(3)
    sysctls.all.routeLocalnet = on(4)
    sysctls.all.sendRedirects = on(5)
    sysctls.all.sharedMedia = on(6)
    sysctls.all.sourceValidMark = on(7)
    sysctls.all.acceptSourceRoute = on(8)
    sysctls.all.logMartians = on(9)
    sysctls.multipathHashPolicy = last[10]
    sysctls.multipathHashPolicy6 = last[11]
    sysctls.updatePriority = last[12]
    sysctls.bridgeCallIPTables = last[13]
    sysctls.bridgeCallIP6Tables = last[14]
    sysctls.bridgeCallARPTables = last[15]
    sysctls.bridgeFilterVLANTagged = last[16]
    sysctls.conntrackLiberal = last[17]
    sysctls.conntrackAccounting = last[18]
    sysctls.conntrackTimestamps = last[19]
    return sysctls
  }

  private func values() -> [Int?] { Self.names.indices.map(value) }

  private func value(_ index: Int) -> Int? {
    if files[index] < 0 { files[index] = open(root + Self.names[index], O_RDONLY | O_CLOEXEC) }
    guard files[index] >= 0 else { return nil }
    let value = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer -> Int? in
      let count = pread(files[index], buffer.baseAddress, buffer.count, 0)
      guard count > 0 else { return nil }
      let digits = buffer[..<count].prefix { $0 == UInt8(ascii: "-") || (48...57).contains($0) }
      return Int(String(decoding: digits, as: UTF8.self))
    }
    if value == nil {
      // The file went away with its module; it may come back.
      close(files[index])
      files[index] = -1
    }
    return value
  }
}
