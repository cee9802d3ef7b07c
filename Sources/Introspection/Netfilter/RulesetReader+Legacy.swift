// SPDX-License-Identifier: Apache-2.0
import CXtables
import Glibc
import Netlink

extension RulesetReader {
  /// All tables of iptables-legacy and ip6tables-legacy that exist.
  package func readLegacy() throws(NetlinkError) -> [RuleTable] {
    var tables: [RuleTable] = []
    for (family, file) in [(RuleFamily.ip, "ip_tables_names"), (.ip6, "ip6_tables_names")] {
      for name in try Self.names(file).sorted() {
        if let table = try Self.read(family, name) { tables.append(table) }
      }
    }
    return tables
  }

  /// Tables of arptables-legacy: known by name only.
  package func arptablesNames() throws(NetlinkError) -> [String] {
    try Self.names("arp_tables_names").sorted()
  }

  /// The names in a file of /proc/net; none where the kernel has no such tables.
  private static func names(_ file: String) throws(NetlinkError) -> [String] {
    // `thread-self`: /proc/self is the first thread, which may be in another namespace.
    switch ProcFile.read("/proc/thread-self/net/\(file)") {
    case .success(let text): return text.split(separator: "\n").map(String.init)
    case .failure(let code) where code.code == ENOENT: return []
    case .failure(let code):
      throw .refused(
        what: "reading which iptables tables exist from /proc/net/\(file)", code: code.code,
        hint: "it needs root")
    }
  }

  private static func read(
    _ family: RuleFamily, _ name: String
  ) throws(NetlinkError) -> RuleTable? {
    let handle = fpd_xtables_read(family == .ip6, name)
    guard handle.handle != nil else {
      let code = errno
      if code == ENOENT || code == ENOPROTOOPT { return nil }
      let words = String(cString: fpd_xtables_strerror(family == .ip6, code))
      throw .refused(what: "reading \(family.name)tables-legacy table \(name)", code: code, hint: words)
    }
    defer { fpd_xtables_free(handle) }
    var table = RuleTable(family: family, name: name, backend: .iptablesLegacy)
    var cursor = fpd_xtables_first_chain(handle)
    while let chain = cursor {
      table.chains.append(try read(handle, chain, family, name))
      cursor = fpd_xtables_next_chain(handle)
    }
    return table
  }

  private static func read(
    _ handle: fpd_xtables, _ name: UnsafePointer<CChar>, _ family: RuleFamily, _ table: String
  ) throws(NetlinkError) -> Chain {
    var chain = Chain(name: String(cString: name))
    if let policy = fpd_xtables_policy(handle, name) {
      chain.base = BaseChain.iptables(family, table: table, chain: chain.name)
        ?? BaseChain(hook: .unknown(.max), priority: 0, type: table, policy: .accept)
      chain.base?.type = table
      chain.base?.policy =
        switch String(cString: policy) {
        case "ACCEPT": .accept
        case "DROP": .drop
        default: .unknown(0)
        }
    }
    var line: UInt64 = 0
    var cursor = fpd_xtables_first_rule(handle, name)
    while let entry = cursor {
      line += 1
      let bytes = Bytes(entry, count: Int(fpd_xtables_rule_size(handle, entry)))
      let target = fpd_xtables_target(handle, entry).map { String(cString: $0) } ?? ""
      guard let rule = Rule.xtables(entry: bytes, family: family, line: line, target: target) else {
        throw .malformed(what: "reading rule \(line) of \(table)/\(chain.name)")
      }
      chain.rules.append(rule)
      cursor = fpd_xtables_next_rule(handle, entry)
    }
    return chain
  }
}

/// Small files of /proc.
package enum ProcFile {
  package struct Failure: Error { package let code: Int32 }

  /// The whole file as text.
  package static func read(_ path: String) -> Result<String, Failure> {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return .failure(Failure(code: errno)) }
    defer { close(descriptor) }
    var text: [UInt8] = []
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 8)
    defer { chunk.deallocate() }
    while true {
      let count = Glibc.read(descriptor, chunk.baseAddress, chunk.count)
      if count == 0 { return .success(String(decoding: text, as: UTF8.self)) }
      if count > 0 {
        text.append(contentsOf: chunk.prefix(count))
      } else if errno != EINTR {
        return .failure(Failure(code: errno))
      }
    }
  }
}
