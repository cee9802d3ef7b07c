// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// What container engines call to connect a container, called as they do while fpd is there: its ports are
  /// published, it reaches the outside, and both are fast.
  @Suite(.needsFpd) struct ContainerEngineTests {
    enum Engine: String, CaseIterable {
      /// The plugins bridge, portmap and firewall, as Kubernetes' runtimes call them.
      case cni
      /// What podman calls.
      case netavark

      /// Of the container.
      var address: IPv4Address { self == .cni ? "10.89.0.2" : "10.88.0.2" }
      var bridge: String { self == .cni ? "cni0" : "podman0" }
    }

    @Test(arguments: ["xdp", "tc"], Engine.allCases)
    func containersAreReached(_ hook: String, _ engine: Engine) throws {
      let line = try TrackingRouter(hook) { _ in }
      let pod = try line.bed.add("pod")
      let container = try Container(engine, pod, on: try line.router)
      try container.connect()
      try pod.run("ethtool -K eth0 gro on \(hook == "xdp" ? "tx off tso off gso off" : "")")
      #expect(try line.router.run("ip -j link show").output.contains(engine.bridge))
      try line.fpd.wait()
      let talks = try Talks(line, pod, engine)
      try talks.talk()
      try talks.becomesFast("p2")
      // Its own streams leave masqueraded.
      let stream = LoadStream(from: pod, to: try line.outside, "10.0.2.2")
      #expect(try stream.bulk(.milliseconds(500)).count > 1 << 20)
      #expect(try stream.requests(.milliseconds(200), sessions: 4).count > 20)
      // And as before when fpd has gone.
      #expect(try line.fpd.stop() == 0)
      try talks.talk()
      try container.disconnect()
      let left = try line.router.run("iptables-save").output
      #expect(!left.contains("\(engine.address)"), "\(left)")
    }

    /// Asked by its published port from outside.
    private struct Talks {
      let line: TrackingRouter
      let server, client: HostSocket

      init(_ line: TrackingRouter, _ pod: Namespace, _ engine: Engine) throws {
        self.line = line
        server = try HostSocket(.udp, engine.address, port: 53, in: pod)
        client = try HostSocket(.udp, "10.0.2.2", port: 6000, in: try line.outside)
      }

      func talk() throws {
        for round in UInt8(0)..<6 {
          try client.send([round, 1], to: "10.0.2.1", port: 5353)
          #expect(server.receive() == [round, 1])
          try server.send([round, 2], to: "10.0.2.2", port: 6000)
          #expect(client.receive() == [round, 2])
        }
      }

      func becomesFast(_ interface: String) throws {
        let before = try line.counts(interface).fast
        let isFast = try eventually(every: .milliseconds(100)) {
          try talk()
          return try line.counts(interface).fast >= before + 6
        }
        let stats = try line.fpd.stats(interface)
        #expect(isFast, "\(stats)")
      }
    }

    private final class Container {
      let engine: Engine
      let pod, router: Namespace
      private let directory: TemporaryDirectory
      /// What the plugins have answered.
      private var answer: String?

      init(_ engine: Engine, _ pod: Namespace, on router: Namespace) throws {
        (self.engine, self.pod, self.router) = (engine, pod, router)
        directory = try TemporaryDirectory("netavark")
      }

      func connect() throws {
        switch engine {
        case .netavark: try netavark("setup")
        case .cni:
          for plugin in Self.plugins { answer = try call(plugin, "ADD") }
        }
      }

      func disconnect() throws {
        switch engine {
        case .netavark: try netavark("teardown")
        case .cni: for plugin in Self.plugins.reversed() { _ = try call(plugin, "DEL") }
        }
      }

      private func netavark(_ command: String) throws {
        try router.run(
          ["/usr/lib/podman/netavark", "--config", directory.path, command, pod.path],
          input: Self.network)
      }

      /// One of a list of plugins, each of which is given what came of the one before.
      private func call(
        _ plugin: (name: String, text: String), _ command: String
      ) throws -> String {
        let before = answer.map { ",\"prevResult\":\($0)" } ?? ""
        return try router.run(
          [
            "env", "CNI_PATH=/usr/lib/cni", "CNI_COMMAND=\(command)",
            "CNI_CONTAINERID=5b1ab0a4d2ff",
            "CNI_NETNS=\(pod.path)", "CNI_IFNAME=eth0", "/usr/lib/cni/\(plugin.name)",
          ],
          input: "{\"cniVersion\":\"0.4.0\",\"name\":\"pods\",\(plugin.text)\(before)}"
        ).output
      }

      private static let plugins = [
        (
          "bridge",
          #""type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":true,"ipam":{"type":"static","#
            + #""addresses":[{"address":"10.89.0.2/16","gateway":"10.89.0.1"}],"#
            + #""routes":[{"dst":"0.0.0.0/0"}]}"#
        ),
        (
          "portmap",
          #""type":"portmap","snat":true,"runtimeConfig":{"portMappings":["#
            + #"{"hostPort":5353,"containerPort":53,"protocol":"udp"}]}"#
        ),
        ("firewall", #""type":"firewall","backend":"iptables""#),
      ]

      private static let network =
        #"{"container_id":"2d0fe608dc86d7ba65dcec724a335b618328f08daa62afd2ee7fa9d41f74e5a9","#
        + #""container_name":"web","port_mappings":[{"container_port":53,"host_ip":"","#
        + #""host_port":5353,"protocol":"udp","range":1}],"networks":{"podman":{"static_ips":["#
        + #""10.88.0.2"],"interface_name":"eth0"}},"network_info":{"podman":{"name":"podman","id":"#
        + #""2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9","driver":"bridge","#
        + #""network_interface":"podman0","subnets":[{"subnet":"10.88.0.0/16","gateway":"10.88.0.1"}],"#
        + #""ipv6_enabled":false,"internal":false,"dns_enabled":false,"#
        + #""ipam_options":{"driver":"host-local"}}}}"#
    }
  }
}
