// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Which of the two iptables.
public enum IPTables: String, Sendable, CaseIterable {
  case legacy = "iptables-legacy"
  case nft = "iptables-nft"
}

extension Namespace {
  /// Sets sysctls, each `key=value`, through the real tool.
  public func sysctl(_ settings: [String]) throws { try run(["sysctl", "-q", "-w"] + settings) }
  public func sysctl(_ setting: String) throws { try sysctl([setting]) }

  /// The value of a sysctl in this namespace.
  public func sysctlValue(_ key: String) throws -> String {
    Command.trim(try run(["sysctl", "-n", key]).output)
  }

  /// Feeds lines to `ip -batch`: thousands of changes for the price of one process.
  @discardableResult public func ip(
    batch lines: some Sequence<String>, force: Bool = false, timeout: Duration = .seconds(120)
  ) throws -> Completed {
    let text = lines.joined(separator: "\n") + "\n"
    return try run(
      ["ip"] + (force ? ["-force"] : []) + ["-batch", "-"], input: text, timeout: timeout)
  }

  /// Loads rules with `iptables-…-restore`.
  @discardableResult public func restore(
    _ kind: IPTables, _ rules: String, noFlush: Bool = false, timeout: Duration = .seconds(120)
  ) throws -> Completed {
    try run(
      ["\(kind.rawValue)-restore"] + (noFlush ? ["--noflush"] : []), input: rules, timeout: timeout)
  }

  /// Feeds a script to `nft -f -`.
  @discardableResult public func nft(_ script: String) throws -> Completed {
    try run(["nft", "-f", "-"], input: script)
  }

  /// The number of a device in this namespace.
  public func ifindex(of device: String) throws -> UInt32 {
    let index = try inside { if_nametoindex(device) }
    if index == 0 { throw LabError("there is no device \(device) in \(name)") }
    return index
  }

  /// The MAC address of a device in this namespace.
  public func mac(of device: String) throws -> MAC {
    let text = try run(["ip", "-o", "link", "show", "dev", device]).output
    let words = text.split(separator: " ")
    guard let place = words.firstIndex(of: "link/ether"), place + 1 < words.count,
      let mac = MAC(String(words[place + 1]))
    else { throw LabError("\(device) in \(name) has no MAC address: \(text)") }
    return mac
  }

  /// Whether a device exists in this namespace.
  public func has(device: String) throws -> Bool { try inside { if_nametoindex(device) } != 0 }
}
