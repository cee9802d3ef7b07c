// SPDX-License-Identifier: Apache-2.0
import CBPF
import Datapath
import Glibc
import Introspection
import Lab
import Synth
import Testing

/// A namespace with a device, and a program there that does nothing but compare the rules with those it
/// was made for.
final class EpochBench {
  enum Answer: Hashable { case same, changed, other(UInt32) }

  let namespace: Namespace
  let counter: ReplaceCounter
  private let bed = Testbed()
  private let directory: TemporaryDirectory
  private let view: KernelView
  private let attachment: Datapath.Attachment
  private let object: [UInt8]

  /// Without `judges` the program is one that knows of no rules.
  init(judges: Bool = true) throws {
    namespace = try bed.add("rules")
    let far = try bed.add("far")
    try bed.cable(.init(namespace, "e0", "10.0.0.1/24"), .init(far, "e0", "10.0.0.2/24"))
    directory = try TemporaryDirectory("epoch")
    let objects = ObjectSource(
      share: ".", compiler: Compiler(configured: nil),
      cache: ObjectCache(directory: "\(directory.path)/cache"))
    view = try KernelView(objects)
    counter = try ReplaceCounter(objects)
    let includes = try Includes(["fpm"])
    let compilation = try objects.compilation(
      ofSource: Self.source(judges: judges), name: "epoch", includes: includes)
    object = try compilation.finish()
    let entry = try EntryObject(objects)
    let index = Int32(try namespace.ifindex(of: "e0"))
    attachment = try namespace.inside {
      try Datapath.Attachment(to: index, hook: .genericXDP, entry: entry)
    }
  }

  deinit {
    try? namespace.inside { attachment.detach() }
    bed.close()
  }

  // MARK: Reading

  /// The rules there are now; `nil` in the middle of a commit.
  func epoch(counted: Bool = true) throws -> RuleEpoch? {
    try namespace.inside {
      let replaces = counted ? counter.count : nil
      let hooks = try view.hooks().compactMap(Self.hook)
      guard let generation = view.generation else {
        return RuleEpoch(hooks, generation: nil, replaces: replaces)
      }
      if generation.isUnderWay { return nil }
      return RuleEpoch(
        hooks, generation: .init(place: generation.place, number: generation.number),
        replaces: replaces)
    }
  }

  private static func hook(_ read: KernelView.Hook) -> NetfilterHook? {
    guard let family = NetfilterHook.Family(rawValue: read.family),
      let point = NetfilterHook.Point(rawValue: read.point)
    else { return nil }
    var hook = NetfilterHook(
      family: family, point: point, priority: read.priority, function: read.function,
      table: read.table, chain: read.chain)
    hook.address = read.address
    hook.argument = read.owner
    if read.rulesetPlace != 0 {
      hook.ruleset = .init(place: read.rulesetPlace, ruleset: read.ruleset)
    }
    return hook
  }

  // MARK: Asking

  /// A program made for the rules of an epoch.
  func program(for epoch: RuleEpoch, idle: Bool = false) throws -> Program {
    var config = try #require(FastPath.config(expecting: epoch))
    if idle { config[0] = 1 }
    return try namespace.inside {
      try attachment.load(object, config: config, replaces: counter)
    }
  }

  func ask(_ program: Program) throws -> Answer {
    let frame = [UInt8](repeating: 0, count: 60)
    let reason = try namespace.inside { try attachment.explain(frame, by: program).reason }
    return reason == 0 ? .same : reason == 1 ? .changed : .other(reason)
  }

  /// Nanoseconds for one run of a program.
  func cost(of program: Program, runs: Int32 = 2_000_000) throws -> UInt32 {
    let frame = [UInt8](repeating: 0, count: 60)
    return try namespace.inside {
      try frame.withUnsafeBytes { bytes in
        var best = UInt32.max
        for _ in 0..<5 {
          var options = bpf_test_run_opts()
          options.sz = MemoryLayout<bpf_test_run_opts>.size
          options.data_in = bytes.baseAddress
          options.data_size_in = UInt32(bytes.count)
          options.repeat = runs
          var context = xdp_md()
          context.data_end = UInt32(bytes.count)
          context.ingress_ifindex = UInt32(attachment.interface)
          try withUnsafeMutablePointer(to: &context) {
            options.ctx_in = UnsafeRawPointer($0)
            options.ctx_size_in = UInt32(MemoryLayout<xdp_md>.size)
            try #require(bpf_prog_test_run_opts(program.descriptor, &options) == 0)
          }
          best = min(best, options.duration)
        }
        return best
      }
    }
  }

  /// The check and nothing else.
  private static func source(judges: Bool) throws -> String {
    let types = try TextFile.read("fpm/kernel/types.h")
    return """
      #include "kernel/numbers.h"
      \(try KernelLayout(types: types).text)
      enum { REASON_NETFILTER_HOOK = 2, REASON_RULES_CHANGED = 1 };
      #define JUDGES_RULES \(judges ? 1 : 0)
      #define IPV4_PREROUTING config.ipv4[0].count
      #define IPV4_FORWARD config.ipv4[1].count
      #define IPV4_POSTROUTING config.ipv4[2].count
      #include "live/netfilter.h"
      struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
      SEC("xdp") int fpd_xdp(struct xdp_md *context)
      {
        u64 queue = (u64)live(behind(context), xdp_buff, rxq);
        u64 device = (u64)live(queue, xdp_rxq_info, dev);
        outcome outcome = GO_ON;
        if (!(config.flags & 1))
          outcome = fp_netfilter_ipv4((u64)live(device, net_device, nd_net));
        u32 *asked = (void *)(long)context->data_meta;
        int same = outcome == GO_ON;
        if ((void *)(asked + 8) > (void *)(long)context->data) return same ? 2 : 1;
        asked[2] = asked[4] = 0;
        asked[3] = same ? 0 : outcome;
        return 2;
      }
      char fp_license[] SEC("license") = "GPL";

      """
  }
}
