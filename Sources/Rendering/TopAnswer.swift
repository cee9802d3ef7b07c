// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// What `fpctl top` shows: packets a second on each interface, from two answers of `stats`.
public struct Top {
  public enum Order: String, CaseIterable, Sendable { case packets, kernel, name }

  public struct Interface {
    public var name: String
    public var hook: String
    /// Packets a second.
    public var forwarded: Double
    public var dropped: Double
    public var punted: [(reason: String, rate: Double)]
    /// Bits a second of what was forwarded.
    public var bits: Double

    public var kernel: Double { punted.reduce(0) { $0 + $1.rate } }
    public var all: Double { forwarded + dropped + kernel }
    /// How much of it the fast path finished; `nil` without traffic.
    public var share: Double? { all > 0 ? (forwarded + dropped) / all : nil }
  }

  public var interfaces: [Interface]

  /// What an interface counted that came meanwhile, or began to count anew, is counted from nothing.
  public init(from before: JSON, to after: JSON, status: JSON, seconds: Double, order: Order) {
    let earlier = Self.byName(before)
    let hooks = Self.byName(status).mapValues { $0["hook"].map(shown) ?? "?" }
    interfaces = (after["interfaces"]?.array ?? []).map { now in
      let name = now["name"].map(shown) ?? "?"
      let then = earlier[name]
      func rate(_ now: JSON?, _ then: JSON?, _ what: String) -> Double {
        let (now, then) = (now?[what]?.int ?? 0, then?[what]?.int ?? 0)
        return seconds > 0 ? Double(now >= then ? now - then : now) / seconds : 0
      }
      let punted = (now["punted"]?.object?.members ?? []).map { reason, counters in
        (printable(reason), rate(counters, then?["punted"]?[reason], "packets"))
      }
      return Interface(
        name: name, hook: hooks[name] ?? "none",
        forwarded: rate(now["forwarded"], then?["forwarded"], "packets"),
        dropped: rate(now["dropped"], then?["dropped"], "packets"),
        punted: punted.filter { $0.1 > 0 }.sorted { ($1.1, $0.0) < ($0.1, $1.0) },
        bits: rate(now["forwarded"], then?["forwarded"], "bytes") * 8)
    }
    interfaces.sort { one, other in
      switch order {
      case .packets where one.all != other.all: one.all > other.all
      case .kernel where one.kernel != other.kernel: one.kernel > other.kernel
      default: one.name < other.name
      }
    }
  }

  private static func byName(_ answer: JSON) -> [String: JSON] {
    var found: [String: JSON] = [:]
    for interface in answer["interfaces"]?.array ?? [] {
      if let name = interface["name"].map(shown) { found[name] = interface }
    }
    return found
  }

  /// A table of at most so many lines.
  public func text(style: Style = .plain, lines: Int? = nil) -> String {
    if interfaces.isEmpty { return "no interfaces\n" }
    var table = Table(
      headings: [
        "INTERFACE", "HOOK", "FAST/S>", "MBIT/S>", "DROPPED/S>", "KERNEL/S>", "FAST SHARE>",
        "LEFT TO THE KERNEL",
      ])
    table.isCut = true
    let most = lines.map { max(1, $0 - 1) } ?? interfaces.count
    for interface in interfaces.prefix(most) {
      let reasons = interface.punted.map { "\($0.reason) \(grouped($0.rate))" }
      table.rows.append([
        .init(interface.name, .bold), .init(interface.hook, Style.ink(forHook: interface.hook)),
        .init(grouped(interface.forwarded), interface.forwarded > 0 ? .green : .dim),
        .init(grouped(interface.bits / 1e6)),
        .init(grouped(interface.dropped), interface.dropped > 0 ? .red : .dim),
        .init(grouped(interface.kernel), interface.kernel > 0 ? .yellow : .dim),
        .init(interface.share.map(percent) ?? "-"), .init(reasons.joined(separator: ", ")),
      ])
    }
    return table.text(style)
  }

  public var json: JSON {
    .array(
      interfaces.map { interface in
        var reasons = JSON.Object()
        for (reason, rate) in interface.punted { reasons.append(reason, Self.number(rate)) }
        return [
          "name": .string(interface.name), "hook": .string(interface.hook),
          "forwarded_per_second": Self.number(interface.forwarded),
          "dropped_per_second": Self.number(interface.dropped),
          "punted_per_second": Self.number(interface.kernel),
          "bits_per_second": Self.number(interface.bits),
          "fast_share": interface.share.map { .double(($0 * 1000).rounded() / 1000) } ?? .null,
          "punted": .object(reasons),
        ]
      })
  }

  private static func number(_ rate: Double) -> JSON { .double((rate * 10).rounded() / 10) }
}

private func grouped(_ rate: Double) -> String { grouped(Int64(rate.rounded())) }
