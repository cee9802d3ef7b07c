// SPDX-License-Identifier: Apache-2.0
import CXtables
import Glibc
import Netlink

extension RulesetReader {
  private static let nameFiles: [(RuleFamily, String)] = [
    (.ip, "ip_tables_names"), (.ip6, "ip6_tables_names"),
  ]

  /// All tables of iptables-legacy and ip6tables-legacy that exist.
  package func readLegacy() throws(NetlinkError) -> [RuleTable] {
    var tables: [RuleTable] = []
    for (family, file) in Self.nameFiles {
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

  /// Whether a table is there; asking does not create it.
  static func legacyTableExists(
    _ family: RuleFamily, _ name: String
  ) throws(NetlinkError) -> Bool {
    guard let file = nameFiles.first(where: { $0.0 == family })?.1 else { return false }
    return try names(file).contains(name)
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
    var table = RuleTable(family: family, name: name, backend: .iptablesLegacy)
    let exists = try walk(
      family, name,
      chain: { name, policy in
        table.chains.append(Chain(family, table: table.name, name: name, policy: policy))
      },
      rule: { (entry, target) throws(NetlinkError) in
        let last = table.chains.count - 1
        let line = UInt64(table.chains[last].rules.count + 1)
        let rule = Rule.xtables(entry: entry, family: family, line: line, target: target)
        guard let rule else {
          throw .malformed(what: "reading rule \(line) of \(name)/\(table.chains[last].name)")
        }
        table.chains[last].rules.append(rule)
      })
    return exists ? table : nil
  }

  /// Lends every rule of every table to `body`, as the kernel stores it and with its target's name.
  package func eachLegacyRule(
    _ body: (RuleFamily, Bytes, String) throws(NetlinkError) -> Void
  ) throws(NetlinkError) {
    for (family, file) in Self.nameFiles {
      for name in try Self.names(file) {
        _ = try Self.walk(family, name, chain: { _, _ in }) {
          (entry, target) throws(NetlinkError) in try body(family, entry, target)
        }
      }
    }
  }

  /// Goes through one table; false when it is not there.
  private static func walk(
    _ family: RuleFamily, _ name: String, chain: (String, _ policy: String?) -> Void,
    rule: (Bytes, _ target: String) throws(NetlinkError) -> Void
  ) throws(NetlinkError) -> Bool {
    let table = fpd_xtables_read(family == .ip6, name)
    guard table.handle != nil else {
      let code = errno
      if code == ENOENT || code == ENOPROTOOPT { return false }
      let hint = String(cString: fpd_xtables_strerror(family == .ip6, code))
      throw .refused(
        what: "reading table \(name) of \(family.name)tables-legacy", code: code, hint: hint)
    }
    defer { fpd_xtables_free(table) }
    var chains = fpd_xtables_first_chain(table)
    while let current = chains {
      chain(
        String(cString: current), fpd_xtables_policy(table, current).map { String(cString: $0) })
      var rules = fpd_xtables_first_rule(table, current)
      while let entry = rules {
        let bytes = Bytes(entry, count: Int(fpd_xtables_rule_size(table, entry)))
        try rule(bytes, fpd_xtables_target(table, entry).map { String(cString: $0) } ?? "")
        rules = fpd_xtables_next_rule(table, entry)
      }
      chains = fpd_xtables_next_chain(table)
    }
    return true
  }
}

extension Chain {
  /// A chain of iptables-legacy; those with a policy are built in.
  init(_ family: RuleFamily, table: String, name: String, policy: String?) {
    self.init(name: name)
    guard let policy else { return }
    base =
      BaseChain.iptables(family, table: table, chain: name)
      ?? BaseChain(hook: .unknown(.max), priority: 0, type: table, policy: .accept)
    base?.policy =
      switch policy {
      case "ACCEPT": .accept
      case "DROP": .drop
      default: .unknown(0)
      }
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
