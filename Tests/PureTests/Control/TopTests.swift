// SPDX-License-Identifier: Apache-2.0
import Control
import Foundation
import OrderedJSON
import Rendering
import Testing

/// Each time it is asked more has been counted.
private final class Counting: @unchecked Sendable {
  private let lock = NSLock()
  private var times: Int64 = 0

  func serve(_ request: Request, _ reply: Reply) {
    switch request.command {
    case .status: reply.finish(StatusReport(state: .converged, generation: 7, interfaces: []).json)
    case .stats:
      let count = lock.withLock {
        times += 1
        return times * 1_000_000
      }
      reply.finish(TopTests.stats(forwarded: count, punted: count / 4))
    default: reply.refuse(Refusal(.usage, "not asked for"))
    }
  }
}

@Suite struct TopTests {
  fileprivate static func stats(forwarded: Int64, punted: Int64) -> JSON {
    [
      "interfaces": [
        [
          "name": "eth0",
          "forwarded": ["packets": .int(forwarded), "bytes": .int(forwarded * 100)],
          "dropped": ["packets": 5, "bytes": 300],
          "punted": ["neighbour": ["packets": .int(punted), "bytes": 0]],
        ]
      ]
    ]
  }

  @Test func ratesAreWhatWasCountedMeanwhile() throws {
    let status = try JSON(
      parsing: #"{"interfaces":[{"name":"eth0","hook":"xdp"},{"name":"eth1","hook":"tc"}]}"#)
    let before = try JSON(
      parsing: """
        {"interfaces":[{"name":"eth0","forwarded":{"packets":1000,"bytes":64000},
        "dropped":{"packets":0,"bytes":0},"punted":{"ttl-expired":{"packets":9,"bytes":1}}},
        {"name":"eth1","forwarded":{"packets":500,"bytes":1},"dropped":{"packets":0,"bytes":0},
        "punted":{}}]}
        """)
    let after = try JSON(
      parsing: """
        {"interfaces":[{"name":"eth0","forwarded":{"packets":3000,"bytes":189000},
        "dropped":{"packets":1000,"bytes":0},"punted":{"ttl-expired":{"packets":9,"bytes":1},
        "neighbour":{"packets":200,"bytes":1},"changed":{"packets":800,"bytes":1}}},
        {"name":"eth1","forwarded":{"packets":20,"bytes":1},"dropped":{"packets":0,"bytes":0},
        "punted":{}},
        {"name":"new0","forwarded":{"packets":0,"bytes":0},"dropped":{"packets":0,"bytes":0},
        "punted":{"neighbour":{"packets":4400,"bytes":0}}}]}
        """)
    let top = Top(from: before, to: after, status: status, seconds: 2, order: .packets)
    #expect(top.interfaces.map(\.name) == ["new0", "eth0", "eth1"])
    let first = top.interfaces[1]
    #expect(first.forwarded == 1000 && first.dropped == 500 && first.kernel == 500)
    #expect(first.punted.map(\.reason) == ["changed", "neighbour"] && first.share == 0.75)
    #expect(first.bits == 500_000)
    // It has begun to count anew.
    #expect(top.interfaces[2].forwarded == 10 && top.interfaces[2].share == 1)
    #expect(top.interfaces[0].hook == "none" && top.interfaces[0].share == 0)
    #expect(
      top.text().split(separator: "\n")[2]
        == "eth0       xdp    1,000       1        500       500      75.0 %  changed 400, neighbour 100"
    )
    #expect(top.text(lines: 2).split(separator: "\n").count == 2)
    for (order, names) in [
      (Top.Order.kernel, ["new0", "eth0", "eth1"]), (.name, ["eth0", "eth1", "new0"]),
    ] {
      let sorted = Top(from: before, to: after, status: status, seconds: 2, order: order)
      #expect(sorted.interfaces.map(\.name) == names)
    }
    for hostile: JSON in [[:], 3, ["interfaces": [1, [:], ["name": 2, "punted": [3]]]]] {
      let top = Top(from: hostile, to: hostile, status: hostile, seconds: 0, order: .packets)
      #expect(!top.text().isEmpty)
    }
  }

  @Test func fpctlCountsAsOftenAsItIsTold() throws {
    let counting = Counting()
    let served = try ServedSocket { counting.serve($0, $1) }
    func top(_ words: String...) throws -> Outcome {
      try run(fpctl, ["--socket", served.path, "top", "--interval", "0.1"] + words)
    }
    let tables = try top("--count", "2")
    #expect(tables.code == 0 && tables.error.isEmpty)
    let lines = tables.out.split(separator: "\n")
    #expect(lines.count == 6 && lines.filter { $0.hasPrefix("fpd ") }.count == 2)
    #expect(lines[2].contains(" %  neighbour "))
    let json = try top("--count", "1", "--json", "eth0")
    let line = try JSON(parsing: json.out)
    #expect(line["generation"] == 7 && line["state"] == "converged")
    let rate = line["interfaces"]?.array?.first?["forwarded_per_second"]?.double ?? 0
    #expect(rate > 1000 && rate <= 10_000_000)
    for wrong in [["--count", "0"], ["--sort", "speed"], ["--interval", "0"]] {
      let outcome = try run(fpctl, ["--socket", served.path, "top"] + wrong)
      #expect(outcome.code == 2 && outcome.error.contains(wrong[0]), "\(wrong)")
    }
  }

  @Test func nobodyReadsAnyMore() throws {
    let counting = Counting()
    let served = try ServedSocket { counting.serve($0, $1) }
    let script = "'\(fpctl)' --socket '\(served.path)' top --interval 0.1 | head -n 1"
    let outcome = try run("/bin/bash", ["-c", script + "; echo ${PIPESTATUS[0]}"])
    #expect(outcome.out.hasSuffix("\n0\n"))
  }
}
