// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Glibc
import Netlink

package enum IPFamily: UInt8, Sendable, Hashable {
  case ipv4 = 2
  case ipv6 = 10
}

/// An address of a device.
package struct Address: Equatable, Sendable {
  package var link: Int32
  package var family: IPFamily
  package var bytes: [UInt8]
  package var prefixLength: UInt8
  package var scope: UInt8

  package init(link: Int32, family: IPFamily, bytes: [UInt8], prefixLength: UInt8, scope: UInt8) {
    self.link = link
    self.family = family
    self.bytes = bytes
    self.prefixLength = prefixLength
    self.scope = scope
  }

  /// Reads an RTM_NEWADDR message's payload.
  package static func parse(_ payload: Bytes) -> Address? {
    guard let family = payload[0].flatMap(IPFamily.init), let prefixLength = payload[1],
      let scope = payload[3], let link = payload.load(4, as: Int32.self)
    else { return nil }
    var bytes: [UInt8] = []
    for attribute in Attributes(payload, after: 8) {
      // On point-to-point links IFA_ADDRESS is the peer's: IFA_LOCAL is ours where it is given.
      if attribute.type == IFA_LOCAL { bytes = attribute.payload.array }
      if attribute.type == IFA_ADDRESS, bytes.isEmpty { bytes = attribute.payload.array }
    }
    guard bytes.count == (family == .ipv4 ? 4 : 16) else { return nil }
    return Address(
      link: link, family: family, bytes: bytes, prefixLength: prefixLength, scope: scope)
  }

  /// As people write it.
  package var text: String { Self.text(bytes) }

  /// Four or sixteen bytes as people write them.
  package static func text(_ bytes: [UInt8]) -> String {
    let family = bytes.count == 4 ? IPFamily.ipv4 : .ipv6
    guard bytes.count == 4 || bytes.count == 16 else { return "" }
    var words = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard inet_ntop(Int32(family.rawValue), bytes, &words, socklen_t(words.count)) != nil else {
      return ""
    }
    return String(decoding: words.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }
}
