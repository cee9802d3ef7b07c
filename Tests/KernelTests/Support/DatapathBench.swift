// SPDX-License-Identifier: Apache-2.0
import CBPF
import Datapath
import Glibc
import Lab
import Testing

/// A deployment in a namespace of its own: device p1 with a peer, eth0 10.0.0.2, to ping from.
final class DatapathBench {
  let namespace: Namespace
  let far: Namespace
  let directory: TemporaryDirectory
  let interface: Int32
  private let bed = Testbed()
  private var handlers: [Int32: () -> Void] = [:]

  init() throws {
    namespace = try bed.add("near")
    far = try bed.add("far")
    directory = try TemporaryDirectory("datapath")
    try bed.cable(.init(namespace, "p1", "10.0.0.1/24"), .init(far, "eth0", "10.0.0.2/24"))
    interface = Int32(try namespace.ifindex(of: "p1"))
  }

  deinit { bed.close() }

  /// A compiler that notes each time it is started.
  func compiler(_ script: String = "exec clang \"$@\"", timeLimit: Duration = .seconds(20)) throws
    -> Compiler
  {
    let path = "\(directory.path)/clang"
    let text = "#!/bin/sh\necho started >>\(directory.path)/starts\n\(script)\n"
    // Written by another process: see "text file busy".
    try Command.run(["sh", "-c", "cat >\(path) && chmod 755 \(path)"], input: text).check()
    return try #require(Compiler(configured: path, timeLimit: timeLimit))
  }

  func compilerStarts() throws -> Int {
    let path = "\(directory.path)/starts"
    guard access(path, R_OK) == 0 else { return 0 }
    return try TextFile.read(path).split(separator: "\n").count
  }

  func objects(_ compiler: Compiler? = nil) throws -> ObjectSource {
    ObjectSource(
      share: ".", compiler: try compiler ?? self.compiler(),
      cache: ObjectCache(directory: "\(directory.path)/cache"))
  }

  func pins(shared: String = "/nonexistent") throws -> Pins {
    let number = try namespace.inside { () -> UInt32 in
      var status = stat()
      return stat("/proc/thread-self/ns/net", &status) == 0 ? UInt32(status.st_ino) : 0
    }
    return try Pins(shared: shared, state: directory.path, namespace: number)
  }

  func deployment(
    objects: ObjectSource? = nil, pins: Pins? = nil, preferClsact: Bool = false,
    patience: Duration = .seconds(60), counts: Bool = false
  ) throws -> Deployment {
    let objects = try objects ?? self.objects()
    let entry = try EntryObject(
      ObjectSource(
        share: ".", compiler: Compiler(configured: nil),
        cache: ObjectCache(directory: "\(directory.path)/cache")))
    let includes = try Includes(["fpm"])
    return try namespace.inside {
      Deployment(
        objects: objects, includes: includes, entry: entry, pins: pins, preferClsact: preferClsact,
        patience: patience, makeCounter: { counts ? try? ReplaceCounter(objects) : nil },
        watch: { self.handlers[$0] = $1 }, unwatch: { self.handlers[$0] = nil })
    }
  }

  /// How many descriptors are being watched.
  var watched: Int { handlers.count }

  func apply(_ plans: [InterfacePlan], to deployment: Deployment) throws {
    try namespace.inside { deployment.apply(plans) }
  }

  /// Runs the loop until everything planned runs or has failed; `each` hears how many descriptors are
  /// watched every time around.
  func settle(
    _ deployment: Deployment, within limit: Duration = .seconds(20), each: (Int) -> Void = { _ in }
  ) throws -> Bool {
    try run(within: limit) {
      each(handlers.count)
      return deployment.isSettled
    }
  }

  func run(within limit: Duration, until isDone: () -> Bool) throws -> Bool {
    let deadline = Instant.now + limit
    return try namespace.inside {
      while !isDone() {
        if Instant.now >= deadline { return false }
        var waiting = handlers.keys.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        poll(&waiting, nfds_t(waiting.count), 100)
        for ready in waiting where ready.revents != 0 { handlers[ready.fd]?() }
      }
      return true
    }
  }

  func removeAll(_ deployment: Deployment) throws {
    try namespace.inside { deployment.removeAll() }
  }

  /// Whether an echo from the other side is answered in time.
  func pings(within limit: Duration = .seconds(5)) throws -> Bool {
    try far.ping("10.0.0.1", within: limit) != nil
  }

  /// What runs on p1 counts every packet under `reason` and passes or drops it.
  func plan(
    _ hook: Hook, reason: UInt32 = 2, drops: Bool = false, note: String = "", on other: Int32? = nil
  ) -> InterfacePlan {
    InterfacePlan(
      interface: other ?? interface, name: "p1", hook: hook,
      source: Self.source(hook, drops: drops) + "/* \(note) */\n",
      config: withUnsafeBytes(of: reason.littleEndian) { Array($0) })
  }

  static func source(_ hook: Hook, drops: Bool) -> String {
    """
    #include "kernel/helpers.h"
    struct { map_number(type, 6); map_number(max_entries, 128); map_type(key, u32);
      struct { u64 packets, bytes; } *value; } fpd_stats SEC(".maps");
    struct fpd_config { u32 reason; u32 spare; };
    const volatile struct fpd_config config = { 0 };
    struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
    struct __sk_buff { u32 len, before[11], cb[5], hash, tc_classid, data, data_end, napi_id; };
    #define MAGIC 0x666c7079686d7770ull
    fp_inline void count(u64 size)
    {
      u32 key = config.reason;
      struct { u64 packets, bytes; } *counter = bpf_map_lookup_elem(&fpd_stats, &key);
      if (counter) { counter->packets++; counter->bytes += size; }
    }
    \(hook == .tc ? classifier(drops) : xdp(drops))
    char fp_license[] SEC("license") = "GPL";

    """
  }

  private static func xdp(_ drops: Bool) -> String {
    """
    SEC("xdp") int fpd_xdp(struct xdp_md *xdp)
    {
      u8 *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
      u64 *asked = (void *)(long)xdp->data_meta;
      u32 *answer = (u32 *)asked;
      if ((u8 *)(asked + 4) > data || *asked != MAGIC) { count(end - data); return \(drops ? 1 : 2); }
      answer[2] = 1;
      answer[3] = config.reason;
      answer[4] = xdp->ingress_ifindex;
      if (data + 14 <= end) data[0] = 0xaa;
      return 2;
    }
    """
  }

  private static func classifier(_ drops: Bool) -> String {
    """
    SEC("tc") int fpd_tc(struct __sk_buff *skb)
    {
      u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
      if ((skb->cb[0] | (u64)skb->cb[1] << 32) != MAGIC) { count(skb->len); return \(drops ? 2 : -1); }
      skb->cb[2] = 1 << 16 | config.reason;
      skb->cb[3] = 7;
      if (data + 14 <= end) data[0] = 0xaa;
      return -1;
    }
    """
  }

  /// The programs, maps and links that a process holds: this one, unless another is named.
  static func held(by pid: Int32 = getpid()) throws -> Set<String> {
    var found: Set<String> = []
    let names = try Command.run(["ls", "/proc/\(pid)/fdinfo"]).check().output
    for number in names.split(separator: "\n") {
      guard let text = try? TextFile.read("/proc/\(pid)/fdinfo/\(number)") else { continue }
      for line in text.split(separator: "\n") {
        let words = line.split(whereSeparator: { $0 == ":" || $0.isWhitespace })
        guard words.count == 2, let id = UInt32(words[1]) else { continue }
        if ["prog_id", "map_id", "link_id"].contains(words[0]) {
          found.insert("\(words[0]) \(id)")
        }
      }
    }
    return found
  }

  /// Which of these the kernel still has. Nothing is opened, as bpftool would: a prog array that is
  /// opened at the moment when its last holder has gone is never freed (its work is counted twice and
  /// done once).
  static func present(_ objects: Set<String>) -> Set<String> {
    var found: Set<String> = []
    func list(_ kind: String, _ next: (UInt32, UnsafeMutablePointer<UInt32>?) -> Int32) {
      var id: UInt32 = 0
      while next(id, &id) == 0 { found.insert("\(kind) \(id)") }
    }
    list("prog_id", bpf_prog_get_next_id)
    list("map_id", bpf_map_get_next_id)
    list("link_id", bpf_link_get_next_id)
    return objects.intersection(found)
  }
}
