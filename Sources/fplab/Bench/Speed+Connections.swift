// SPDX-License-Identifier: Apache-2.0
import Lab

extension Speed {
  /// Where the generator's flows come from: bench/generator.bpf.c.
  private static let firstPort = 0x4000

  /// A router that masquerades the generator's flows, each of which is a connection of the kernel's.
  func nat() throws {
    for others in quick ? [0] : [0, 100_000] { try nat(besides: others) }
  }

  private func nat(besides others: Int) throws {
    let (bed, router) = try routerBed()
    try router.run("iptables-legacy -t nat -A POSTROUTING -o p2 -j MASQUERADE")
    try router.sysctl("net.netfilter.nf_conntrack_max=2000000")
    var entries = (0..<flows).map { flow in
      "-I -p udp -s 10.0.1.2 -d 10.100.\(flow % prefixes).1 --sport \(Self.firstPort + flow) "
        + "--dport 9 -n 10.0.2.1 -t 3600 -u SEEN_REPLY,ASSURED\n"
    }
    entries += (0..<others).map { other in
      "-I -p udp -s 10.\(64 + other >> 16).\(other >> 8 & 255).\(other & 255) -d 10.200.0.1 "
        + "--sport 5000 --dport 53 -t 3600 -u SEEN_REPLY,ASSURED\n"
    }
    let list = try TemporaryDirectory("entries")
    try list.write("entries", entries.joined())
    try router.run(["conntrack", "-R", "\(list.path)/entries"])
    let generator = try generator(in: bed, to: router)
    let sink = try LoadSink(in: try bed["right"], device: "eth0")
    let arrived = { sink.count.frames }
    try measure(
      "NAT, \(flows) flows" + (others > 0 ? " among \(others) connections" : ""),
      [
        try base(), Way(name: Self.linux, generator: generator, arrived: arrived) { .kernel },
        fpd("xdp", in: router, ["p1", "p2"], generator, arrived, follows: true),
      ], isShort: true)
    bed.close()
  }
}
