// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// Virtual machines on a bridge as libvirt has them, with fpd and without.
  @Suite(.needsFpd) struct GuestTests {
    /// Two guests 10.0.0.11 and .12 and a host 10.0.0.2 on `br0`, which has 10.0.0.1 and routes to 10.0.9.2.
    private final class Household {
      let bed = Testbed()
      let switchboard: Namespace
      private(set) var guests: [VirtualMachine] = []

      init(offloads: Bool) throws {
        switchboard = try bed.add("switch")
        try switchboard.ip(batch: [
          "link add br0 type bridge", "addr add 10.0.0.1/24 dev br0", "link set br0 up",
        ])
        for number in 1...2 {
          let guest = try bed.add("guest\(number)")
          let tap = "vnet\(number)"
          guests.append(
            try VirtualMachine(guest, tap: tap, in: switchboard, offloads: offloads))
          try guest.ip(batch: ["addr add 10.0.0.1\(number)/24 dev eth0", "link set eth0 up"])
          try guest.run("ip route add default via 10.0.0.1")
          try switchboard.ip(batch: ["link set \(tap) master br0", "link set \(tap) up"])
        }
        let (host, far) = (try bed.add("host"), try bed.add("far"))
        try bed.cable(.init(host, "eth0", "10.0.0.2/24"), .init(switchboard, "p1"))
        try switchboard.run("ip link set p1 master br0")
        try bed.cable(.init(far, "eth0", "10.0.9.2/24"), .init(switchboard, "p2", "10.0.9.1/24"))
        try far.run("ip route add default via 10.0.9.1")
        try switchboard.sysctl("net.ipv4.ip_forward=1")
      }

      /// Every station asks every other.
      func everyoneIsReached() throws {
        let stations: [(String, IPv4Address, Bool)] = [
          ("guest1", "10.0.0.11", true), ("guest2", "10.0.0.12", true), ("host", "10.0.0.2", true),
          ("far", "10.0.9.2", false),
        ]
        for (from, _, isNear) in stations {
          for (to, address, isToo) in stations where from != to {
            if from == "host" && to == "far" || from == "far" && to == "host" { continue }
            let ttl = try bed[from].ping(address)
            #expect(ttl == (isNear == isToo ? 64 : 63), "\(from) to \(to)")
          }
        }
      }

      /// Streams and requests between two of them.
      func talk(_ from: String, _ to: String, _ address: IPv4Address) throws {
        let stream = LoadStream(from: try bed[from], to: try bed[to], address)
        #expect(try stream.bulk(.milliseconds(300)).count > 1 << 20, "\(from) to \(to)")
        #expect(try stream.requests(.milliseconds(100), sessions: 2).count > 10)
      }
    }

    /// `nil`: without fpd.
    @Test(arguments: [nil, "auto", "tc", "xdp"], [false, true])
    func guestsAreReached(_ hook: String?, offloads: Bool) throws {
      let household = try Household(offloads: offloads)
      if hook == "xdp" {
        // Where frames are whole.
        for host in ["host", "far"] {
          try household.bed[host].run("ethtool -K eth0 tx off tso off gso off gro on")
        }
      }
      let fpd = try hook.map {
        try Fpd(in: household.switchboard, configuration: FastLine.configuration($0))
      }
      try fpd?.wait()
      try household.everyoneIsReached()
      try household.talk("guest1", "host", "10.0.0.2")
      try household.talk("host", "guest2", "10.0.0.12")
      try household.talk("guest1", "guest2", "10.0.0.12")
      try household.talk("guest2", "far", "10.0.9.2")
      try household.talk("far", "guest1", "10.0.0.11")
      #expect(household.guests.allSatisfy { $0.carried > 100 })
      guard let fpd else { return }
      for interface in ["vnet1", "vnet2", "p1", "p2"] {
        let (seen, stats) = (try fpd.interface(interface), try fpd.stats(interface))
        if hook == "xdp", interface.hasPrefix("vnet") {
          // XDP is not told what the guest has left to its card.
          #expect(seen["accelerated"] == false && stats.forwarded == 0, "\(seen.text())")
          #expect(try fpd.graph(interface).text().contains("tap, on XDP"))
          continue
        }
        #expect(seen["accelerated"] == true && stats.forwarded > 100, "\(seen.text()): \(stats)")
      }
      // The card is taken out and another put in, as libvirt does with each start of a guest.
      try household.switchboard.run("ip link set vnet1 nomaster")
      #expect(try household.bed["host"].ping("10.0.0.11", within: .milliseconds(400)) == nil)
      try household.switchboard.run("ip link set vnet1 master br0")
      #expect(try household.bed["host"].ping("10.0.0.11") == 64)
      #expect(try fpd.stop() == 0)
      try household.everyoneIsReached()
    }
  }
}
