// SPDX-License-Identifier: Apache-2.0

/// All that fpd tells of itself in numbers, at one moment. Nothing in it is per route, rule or flow: how much
/// it is depends on the number of interfaces alone.
package struct Measurements: Equatable, Sendable {
  package static let contentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

  package struct Count: Equatable, Sendable {
    package var packets: UInt64
    package var bytes: UInt64

    package init(packets: UInt64 = 0, bytes: UInt64 = 0) {
      (self.packets, self.bytes) = (packets, bytes)
    }
  }

  /// Something that is told by a word, and how many of it.
  package struct Kind<Number: Equatable & Sendable>: Equatable, Sendable {
    package var name: String
    package var number: Number

    package init(_ name: String, _ number: Number) {
      (self.name, self.number) = (name, number)
    }
  }

  package struct Traffic: Equatable, Sendable {
    package var forwarded = Count()
    package var dropped = Count()
    /// Those reasons that were met.
    package var punted: [Kind<Count>] = []
    /// In shadow mode, what would have been done.
    package var wouldForward: UInt64 = 0
    package var wouldDrop: UInt64 = 0

    package init() {}
  }

  package struct Interface: Equatable, Sendable {
    package var name = ""
    package var hook = "none"
    package var modules: [String] = []
    package var program: String?
    package var accelerated = false
    package var reason: String?
    /// `nil` where it cannot be told now.
    package var traffic: Traffic?

    package init() {}
  }

  package struct Shadow: Equatable, Sendable {
    package var agreed: UInt64 = 0
    package var unseen: UInt64 = 0
    /// Every kind there is, also those that were not met.
    package var mismatched: [Kind<UInt64>] = []

    package init() {}
  }

  package var version = ""
  /// In seconds since 1970.
  package var started = 0.0
  package var state = ""
  /// All there are.
  package var states: [String] = []
  package var generation: UInt64 = 0
  /// Of which kind each is.
  package var problems: [String] = []
  package var interfaces: [Interface] = []
  package var reaction = Histogram()
  package var ownSwaps: UInt64 = 0
  package var generalSwaps: UInt64 = 0
  package var failedSwaps: UInt64 = 0
  package var compilations: UInt64 = 0
  package var failedCompilations: UInt64 = 0
  package var cacheHits: UInt64 = 0
  /// `nil` where fpd acts.
  package var shadow: Shadow?

  package init() {}

  /// In the text format of OpenMetrics 1.0.
  package var text: String { families.map(\.text).joined() + "# EOF\n" }

  package var families: [MetricFamily] {
    itself + standing + packets + work + (shadow.map(comparison) ?? [])
  }

  private typealias Label = MetricFamily.Label

  private var itself: [MetricFamily] {
    var kinds: [String] = []
    for kind in problems where !kinds.contains(kind) { kinds.append(kind) }
    return [
      .info("fpd_build", "The fpd that answers.", [[Label("version", version)]]),
      .gauge(
        "fpd_start_time", unit: "seconds", "When fpd was started, since 1970.",
        [([], .real(started))]),
      .states(
        "fpd_state", "Whether what is live corresponds to the kernel's configuration.",
        of: states, now: state),
      .gauge(
        "fpd_generation", "The number of the processing graph that is live.",
        [([], .count(generation))]),
      .gauge(
        "fpd_problems", "How many things are wrong, as fpctl status lists them.",
        [([], .count(UInt64(problems.count)))]),
      .info("fpd_problem", "What kinds of things are wrong.", kinds.map { [Label("what", $0)] }),
      .gauge(
        "fpd_shadow_mode", "1 where fpd only decides and compares.",
        [([], .count(shadow == nil ? 0 : 1))]),
    ]
  }

  private var standing: [MetricFamily] {
    [
      .gauge(
        "fpd_interface_accelerated", "1 where a program forwards what comes in.",
        interfaces.map {
          ([Label("interface", $0.name)], .count($0.accelerated ? 1 : 0))
        }),
      .info(
        "fpd_interface", "Where the program is attached and what it does, or why there is none.",
        interfaces.map { interface in
          var labels = [
            Label("interface", interface.name), Label("hook", interface.hook),
            Label("modules", interface.modules.joined(separator: ",")),
          ]
          if let program = interface.program { labels.append(Label("program", program)) }
          if let reason = interface.reason { labels.append(Label("reason", reason)) }
          return labels
        }),
    ]
  }

  private var packets: [MetricFamily] {
    let counted = interfaces.compactMap { interface in
      interface.traffic.map { (label: Label("interface", interface.name), traffic: $0) }
    }
    func pair(
      _ name: String, _ help: String, _ count: KeyPath<Traffic, Count>
    ) -> [MetricFamily] {
      [
        .counter(
          name, unit: "packets", help,
          counted.map { ([$0.label], $0.traffic[keyPath: count].packets) }),
        .counter(
          name, unit: "bytes", help,
          counted.map { ([$0.label], $0.traffic[keyPath: count].bytes) }),
      ]
    }
    func punted(_ number: (Count) -> UInt64) -> [(labels: [MetricFamily.Label], UInt64)] {
      counted.flatMap { entry in
        entry.traffic.punted.map { ([entry.label, Label("reason", $0.name)], number($0.number)) }
      }
    }
    let help = "Handed to the kernel, by why. By the interface where packets come in."
    return pair(
      "fpd_forwarded", "Forwarded by the fast path. By the interface where packets come in.",
      \.forwarded)
      + pair(
        "fpd_dropped", "Dropped by the fast path. By the interface where packets come in.",
        \.dropped)
      + [
        .counter("fpd_punted", unit: "packets", help, punted(\.packets)),
        .counter("fpd_punted", unit: "bytes", help, punted(\.bytes)),
      ]
  }

  private var work: [MetricFamily] {
    [
      .histogram(
        "fpd_reaction", unit: "seconds",
        "From hearing of a change until what is live corresponds to it.", reaction),
      .counter(
        "fpd_program_swaps",
        "Programs that were put in place, by whether they were made for the "
          + "interface or fit every one.",
        [([Label("program", "own")], ownSwaps), ([Label("program", "general")], generalSwaps)]),
      .counter(
        "fpd_program_swap_failures", "Programs that could not be put in place.",
        [([], failedSwaps)]),
      .counter("fpd_compilations", "Programs that were compiled.", [([], compilations)]),
      .counter(
        "fpd_compilation_failures", "Programs that could not be compiled.",
        [([], failedCompilations)]),
      .counter(
        "fpd_compilation_cache_hits", "Programs that had been compiled before.",
        [([], cacheHits)]),
    ]
  }

  private func comparison(_ shadow: Shadow) -> [MetricFamily] {
    let counted = interfaces.compactMap { interface in
      interface.traffic.map { (label: Label("interface", interface.name), traffic: $0) }
    }
    return [
      .counter(
        "fpd_shadow_decided", unit: "packets", "What fpd would have done.",
        counted.flatMap {
          [
            ([$0.label, Label("verdict", "forward")], $0.traffic.wouldForward),
            ([$0.label, Label("verdict", "drop")], $0.traffic.wouldDrop),
          ]
        }),
      .counter(
        "fpd_shadow_agreed", unit: "packets", "The kernel did what fpd would have done.",
        [([], shadow.agreed)]),
      .counter(
        "fpd_shadow_unseen", unit: "packets", "What the kernel did was not seen.",
        [([], shadow.unseen)]),
      .counter(
        "fpd_shadow_mismatched", unit: "packets",
        "The kernel did something else than fpd would have done.",
        shadow.mismatched.map { ([Label("kind", $0.name)], $0.number) }),
    ]
  }
}
