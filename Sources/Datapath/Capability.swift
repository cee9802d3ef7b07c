// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// What fpd may do beyond its user, each for a reason that systemd/fpd.service tells; by its number in the kernel.
package enum Capability: Int, CaseIterable, Sendable {
  case chown = 0
  case dacOverride = 1
  case dacReadSearch = 2
  case netAdmin = 12
  case netRaw = 13
  case sysAdmin = 21
  case syslog = 34
  case perfmon = 38
  case bpf = 39

  /// The service manager gives these. The other two are for who starts fpd by hand, with files of somebody else's.
  package static let ofService: [Capability] = allCases.filter {
    ![.dacOverride, .dacReadSearch].contains($0)
  }

  /// Compilers may read what fpd may, and nothing else.
  static let ofCompilers = mask([.dacReadSearch])

  package static func mask(_ capabilities: [Capability]) -> UInt64 {
    capabilities.reduce(0) { $0 | 1 << UInt64($1.rawValue) }
  }

  /// Of what the process has it keeps no more than this, and gets nothing back. Before it has other threads.
  package static func giveUpTheRest() throws(DatapathError) {
    let code = fpd_keep_capabilities(mask(allCases))
    if code != 0 {
      throw DatapathError("giving up capabilities", String(cString: strerror(code)))
    }
  }
}
