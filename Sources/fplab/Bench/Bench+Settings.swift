// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import OrderedJSON

extension Bench {
  private static let link = Change(
    name: "ip link add", interface: "new0", make: "ip link add new0 type bridge",
    undo: "ip link del new0", undoName: "ip link del")

  /// A namespace that routes, with a bridge br0 and pairs v0a–v0b, v1a–v1b, … up in it.
  func router(_ word: String, pairs: Int) throws -> Namespace {
    let namespace = try Namespace(word)
    try namespace.sysctl("net.ipv4.ip_forward=1")
    Terminal.progress("making \(2 * pairs) links")
    try namespace.ip(
      batch: ["link add br0 type bridge", "link set br0 up"]
        + (0..<pairs).flatMap {
          [
            "link add v\($0)a group 7 type veth peer name v\($0)b", "link set v\($0)a up",
            "link set v\($0)b up",
          ]
        } + ["addr add 10.0.0.1/24 dev v0a", "addr add 10.0.1.1/24 dev v1a"])
    return namespace
  }

  /// Removes what was measured in, all links at once: left to the kernel, the removal of a thousand links
  /// would go on into the next measurement.
  func remove(_ namespace: Namespace, _ fpd: Fpd) throws {
    // Each hook takes the kernel a grace period.
    try fpd.stop(within: .seconds(120))
    try namespace.run(["ip", "link", "del", "group", "7"])
    namespace.close()
  }

  func manyLinks() throws {
    for links in [10, quick ? 100 : 1000] {
      let namespace = try router("links", pairs: links / 2)
      let fpd = try Fpd(in: namespace, logLevel: "warning")
      try measure(
        "\(links) links", fpd,
        [
          Self.link,
          Change(
            name: "ip addr add", interface: "br0", make: "ip addr add 10.77.0.1/24 dev br0",
            undo: "ip addr del 10.77.0.1/24 dev br0", undoName: "ip addr del"),
          Change(
            name: "ip link set master", interface: "v3a", make: "ip link set v3a master br0",
            undo: "ip link set v3a nomaster", undoName: "ip link set nomaster"),
          Change(
            name: "sysctl rp_filter=1", interface: "v1a",
            make: "sysctl -q -w net.ipv4.conf.v1a.rp_filter=1",
            undo: "sysctl -q -w net.ipv4.conf.v1a.rp_filter=0", undoName: "sysctl rp_filter=0"),
          Change(
            name: "sysctl forwarding=0", interface: "v1a",
            make: "sysctl -q -w net.ipv4.conf.v1a.forwarding=0",
            undo: "sysctl -q -w net.ipv4.conf.v1a.forwarding=1", undoName: "sysctl forwarding=1"),
        ])
      try remove(namespace, fpd)
    }
  }

  func manyRules(_ kind: IPTables) throws {
    let namespace = try router("rules", pairs: 2)
    let fpd = try Fpd(in: namespace, logLevel: "warning")
    let count = quick ? 1000 : 10_000
    Terminal.progress("loading \(count) rules with \(kind.rawValue)-restore")
    let rules = (0..<count).map {
      "-A FORWARD -s 10.\(100 + $0 / 250 % 100).\($0 % 250).0/24 -p tcp --dport \(1 + $0) -j DROP\n"
    }
    try namespace.restore(kind, "*filter\n" + rules.joined() + "COMMIT\n")
    try fpd.wait()
    try measure(
      "\(count) \(kind.rawValue) rules", fpd,
      [
        Change(
          name: "\(kind.rawValue) -A", interface: "v0a",
          make: "\(kind.rawValue) -A FORWARD -s 192.0.2.1 -j DROP",
          undo: "\(kind.rawValue) -D FORWARD -s 192.0.2.1 -j DROP",
          undoName: "\(kind.rawValue) -D"),
        Self.link,
      ])
    try remove(namespace, fpd)
  }

  func manyRoutes() throws {
    let namespace = try router("routes", pairs: 2)
    let fpd = try Fpd(in: namespace, logLevel: "warning")
    let address = Change(
      name: "ip addr add", interface: "br0", make: "ip addr add 10.77.0.1/24 dev br0",
      undo: "ip addr del 10.77.0.1/24 dev br0", undoName: "ip addr del")
    try measure("no routes", fpd, [Self.link, address])
    try namespace.run("ip link set v1b master br0")
    try fpd.wait()
    for churn in [Self.nothing, Self.neighbours, Self.stations] {
      try load(churn, namespace, fpd)
    }
    let count = quick ? 100_000 : 1_000_000
    let step = 100_000
    for start in stride(from: 0, to: count, by: step) {
      Terminal.progress("loading \(start + step) of \(count) routes")
      try namespace.ip(
        batch: (start..<start + step).lazy.map { number in
          "route add \(20 + number >> 16).\(number >> 8 & 255).\(number & 255).0/24 via 10.0.0.2"
        })
    }
    try fpd.wait(.seconds(30))
    try measure("\(count) routes", fpd, [Self.link, address])
    try load(Self.routes, namespace, fpd)
    try remove(namespace, fpd)
  }

  /// A change that is no news to the graph: a line for the tool's batch mode; no tool, no change.
  private struct Churn: Sendable {
    let what: String
    let tool: String
    let line: @Sendable (_ verb: String, _ number: Int) -> String
  }

  private static let nothing = Churn(what: "nothing changes", tool: "") { _, _ in "" }
  private static let routes = Churn(what: "routes, among many", tool: "ip") { verb, number in
    "route \(verb) 198.\(18 + number / 250).\(number % 250).0/24 via 10.0.0.2"
  }
  private static let neighbours = Churn(what: "neighbours", tool: "ip") { verb, number in
    "neigh \(verb) 10.0.0.\(10 + number) lladdr \(MAC(number: UInt32(number))) dev v0a"
  }
  private static let stations = Churn(what: "FDB entries", tool: "bridge") { verb, number in
    "fdb \(verb) \(MAC(number: UInt32(number))) dev v1b master static"
  }

  /// Makes 5,000 such changes a second while fpd's CPU time is read.
  private func load(_ churn: Churn, _ namespace: Namespace, _ fpd: Fpd) throws {
    let seconds = quick ? 1 : 15
    let chunk = 50
    let feeder =
      churn.tool.isEmpty ? nil : try namespace.start([churn.tool, "-batch", "-"], feed: true)
    let generation = try fpd.generation()
    let before = try fpd.usage.cpu
    let start = Instant.now
    let steps = seconds * 100
    for step in 0..<steps {
      if step % 100 == 0 { Terminal.progress("\(churn.what): \(step / 100) s") }
      // One chunk adds what the next deletes, so that the table stays as large as it is.
      let verb = step % 2 == 0 ? "add" : "del"
      try feeder?.write((0..<chunk).map { churn.line(verb, $0) + "\n" }.joined())
      let left = start + .milliseconds((step + 1) * 10) - .now
      if left > .zero { usleep(UInt32(clamping: left.nanoseconds / 1000)) }
    }
    feeder?.endInput()
    if let feeder, feeder.ended(within: .seconds(30)) != 0 {
      throw LabError("\(churn.tool) -batch failed under load: \(feeder.output)")
    }
    let wall = Instant.now - start
    let used = try fpd.usage.cpu - before
    let elapsed = wall.milliseconds / 1000
    results.loads.append(
      .init(
        what: churn.what, perSecond: feeder == nil ? 0 : Double(steps * chunk) / elapsed,
        seconds: elapsed, cpuShare: used.milliseconds / wall.milliseconds,
        generations: try fpd.generation() - generation))
  }
}
