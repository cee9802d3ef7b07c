// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Kernel {
  /// keepalived moves the address of a router from one machine to another, as it does without fpd.
  @Suite(
    .needsFpd,
    .enabled("needs keepalived (scripts/setup installs it)") {
      access("/usr/sbin/keepalived", X_OK) == 0
    })
  struct FailoverTests {
    /// keepalived of one router.
    private final class Keeper {
      private let directory: TemporaryDirectory
      private let process: Background

      init(_ namespace: Namespace, priority: Int) throws {
        directory = try TemporaryDirectory("keepalived")
        let path = directory.path
        let instances = [("near", "p1", 51, "10.0.1.1"), ("far", "p2", 52, "10.0.2.1")].map {
          """
          vrrp_instance \($0.0) {
            state BACKUP
            interface \($0.1)
            virtual_router_id \($0.2)
            priority \(priority)
            advert_int 0.1
            version 3
            virtual_ipaddress { \($0.3)/24 dev \($0.1) }
          }

          """
        }
        try directory.write(
          "keepalived.conf",
          "global_defs {\n router_id r\n vrrp_version 3\n}\n"
            + "vrrp_sync_group both {\n group {\n near\n far\n }\n}\n" + instances.joined())
        process = try namespace.start(
          ["keepalived", "--vrrp", "--dont-fork", "--log-console", "--log-detail"]
            + ["--use-file", path + "/keepalived.conf", "--pid", path + "/pid"]
            + ["--vrrp_pid", path + "/vrrp"])
      }

      var log: String { process.output }
      func stop() { process.stop() }
    }

    /// `near` 10.0.1.2 and `far` 10.0.2.2 behind a switch each, routers `r1` and `r2` on both.
    private static func household() throws -> Testbed {
      let bed = Testbed()
      for (number, side) in [(1, "near"), (2, "far")] {
        let wires = try bed.add("wires\(number)")
        try wires.ip(batch: ["link add br0 type bridge", "link set br0 up"])
        let host = try bed.add(side)
        try bed.cable(.init(host, "eth0", "10.0.\(number).2/24"), .init(wires, "host"))
        try host.run("ip route add default via 10.0.\(number).1")
        try wires.run("ip link set host master br0")
      }
      for number in 1...2 {
        let router = try bed.add("r\(number)")
        for side in 1...2 {
          let wires = try bed["wires\(side)"]
          try bed.cable(
            .init(router, "p\(side)", "10.0.\(side).25\(number)/24"), .init(wires, "r\(number)"))
          try wires.run("ip link set r\(number) master br0")
        }
        try router.sysctl("net.ipv4.ip_forward=1")
      }
      return bed
    }

    private func holds(_ router: Namespace) throws -> Bool {
      try ["p1", "p2"].enumerated().allSatisfy { place, device in
        try router.run("ip -o addr show \(device)").output.contains(" 10.0.\(place + 1).1/24")
      }
    }

    /// `nil`: without fpd.
    @Test(arguments: [nil, "xdp", "tc"]) func addressMovesToTheOtherRouter(_ hook: String?) throws {
      let bed = try Self.household()
      let routers = (try bed["r1"], try bed["r2"])
      if hook == "xdp" {
        for (number, host) in ["near", "far"].enumerated() {
          try bed[host].run("ethtool -K eth0 tx off tso off gso off gro on")
          try bed["wires\(number + 1)"].run("ethtool -K host gro on")
          for router in ["r1", "r2"] {
            try bed["wires\(number + 1)"].run("ethtool -K \(router) gro on")
          }
        }
      }
      let fpds = try hook.map { hook in
        try [routers.0, routers.1].map {
          try Fpd(in: $0, configuration: FastLine.configuration(hook))
        }
      }
      let first = try Keeper(routers.0, priority: 200)
      #expect(try eventually(within: .seconds(20)) { try holds(routers.0) }, "\(first.log)")
      let second = try Keeper(routers.1, priority: 100)
      try talk(bed, fpds?[0])
      #expect(try !holds(routers.1))

      // One is switched off: the other takes over within a second, and its packets are fast.
      let stream = try Stream(bed)
      try stream.passes()
      for device in ["p1", "p2"] { try routers.0.run("ip link set \(device) down") }
      #expect(try eventually(within: .seconds(10)) { try holds(routers.1) }, "\(second.log)")
      try talk(bed, fpds?[1])
      try stream.passes()
      // It comes back, and is the better one.
      for device in ["p1", "p2"] { try routers.0.run("ip link set \(device) up") }
      #expect(
        try eventually(within: .seconds(20)) { try holds(routers.0) && !holds(routers.1) },
        "\(first.log)\(second.log)")
      try talk(bed, fpds?[0])
      try stream.passes()
      // Taken down in order.
      first.stop()
      #expect(try eventually(within: .seconds(10)) { try holds(routers.1) }, "\(second.log)")
      try talk(bed, fpds?[1])
      try stream.passes()
      for fpd in fpds ?? [] { #expect(try fpd.stop() == 0) }
      try talk(bed, nil)
      second.stop()
    }

    /// A conversation that lasts through all of it.
    private struct Stream {
      private let sender, receiver: HostSocket
      private let last: Next

      private final class Next { var value = UInt8(0) }

      init(_ bed: Testbed) throws {
        receiver = try HostSocket(.udp, "10.0.2.2", port: 5000, in: bed["far"])
        sender = try HostSocket(.udp, "10.0.1.2", port: 5001, in: bed["near"])
        last = Next()
      }

      func passes() throws {
        last.value += 1
        let isThere = try eventually(within: .seconds(5)) {
          try sender.send([last.value], to: "10.0.2.2", port: 5000)
          while let came = receiver.receive(within: .milliseconds(50)) {
            if came == [last.value] { return true }
          }
          return false
        }
        #expect(isThere)
      }
    }

    private func talk(_ bed: Testbed, _ fpd: Fpd?) throws {
      #expect(
        try eventually(within: .seconds(5)) {
          try bed["near"].ping("10.0.2.2", within: .milliseconds(500)) == 63
        })
      try fpd?.wait()
      let before = try ["p1", "p2"].map { try fpd?.stats($0).forwarded ?? 0 }
      for _ in 0..<10 { #expect(try bed["near"].ping("10.0.2.2") == 63) }
      guard let fpd else { return }
      let after = try ["p1", "p2"].map { try fpd.stats($0).forwarded }
      let said = try ["p1", "p2"].map { "\(try fpd.stats($0)) \(try fpd.interface($0).text())" }
      #expect(zip(before, after).allSatisfy { $1 >= $0 + 10 }, "\(before) \(after) \(said)")
    }
  }
}
