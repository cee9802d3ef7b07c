// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Lab
import Netlink
import Testing

extension Kernel {
  @Suite struct NetlinkSocketTests {
    /// The kernel begins no dump on a socket before the last has been read to its end.
    @Test func aDumpThatIsGivenUpDoesNotStandInTheWayOfTheNext() throws {
      let namespace = try Namespace("dump")
      let rules = (0..<3000).map { "add rule ip t c ip saddr 10.0.\($0 / 250).\($0 % 250) drop\n" }
      try namespace.nft("add table ip t\nadd chain ip t c\n" + rules.joined())
      let counts = try namespace.inside {
        var socket = try NetlinkSocket(NETLINK_NETFILTER)
        let request = Request(
          subsystem: NFNL_SUBSYS_NFTABLES, message: Int32(NFT_MSG_GETRULE.rawValue))
        var refused = 0
        do throws(NetlinkError) {
          try socket.dump("reading rules", request) { (_: Message) throws(NetlinkError) in
            refused += 1
            throw .interrupted(what: "the test")
          }
        } catch { #expect(error == .interrupted(what: "the test")) }
        var read = 0
        try socket.dump("reading rules", request) { (_: Message) throws(NetlinkError) in read += 1 }
        return [refused, read]
      }
      #expect(counts == [1, 3000])
    }
  }
}
