// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing
import Topology

/// The one list of counters, held against what the C of the fast path says.
@Suite struct ReasonCounterTests {
  /// REASON_… in the headers, each with one place where it stands.
  private static func named() throws -> [String: String] {
    var found: [String: String] = [:]
    for folder in ["fpm", "fpm/live", "templates"] {
      for name in try Golden.projectFiles(in: folder) where !name.hasSuffix(".md") {
        let text = try Golden.projectFile("\(folder)/\(name)")
        for match in text.matches(of: try Regex("REASON_([A-Z0-9_]+)")) {
          guard let word = match.output[1].substring else { continue }
          found[String(word)] = "\(folder)/\(name)"
        }
      }
    }
    return found
  }

  private static func spelled(_ reason: Reason) -> String {
    reason.rawValue.uppercased().replacing("-", with: "_")
  }

  @Test func everyReasonThatProgramsNameIsCountedAndTheOtherWayRound() throws {
    let named = try Self.named()
    let counted = Set(Reason.counted.map(Self.spelled))
    #expect(!named.isEmpty)
    for (name, place) in named where !counted.contains(name) {
      Issue.record("REASON_\(name) of \(place) is not in Reason.counted")
    }
    for reason in Reason.counted where named[Self.spelled(reason)] == nil {
      Issue.record("\(reason.rawValue) is counted, and no program names it")
    }
  }

  @Test func countersAreDistinctAndFit() {
    #expect(Set(Reason.counted).count == Reason.counted.count)
    #expect(Set(Reason.counted.map(Self.spelled)).count == Reason.counted.count)
    // COUNTERS is 128; the first two are for what is forwarded and dropped.
    #expect(Reason.firstCounter == 2)
    #expect(Reason.counted.count <= 126)
  }

  @Test func counterAndReasonLeadToEachOther() throws {
    for reason in Reason.counted {
      let counter = try #require(reason.counter)
      #expect(Reason(counter: counter) == reason)
    }
    #expect(Reason(counter: 0) == nil && Reason(counter: 1) == nil && Reason(counter: -1) == nil)
    #expect(Reason(counter: Reason.counted.count + 2) == nil)
    #expect(Reason.loopback.counter == nil)
  }

  @Test func everyCountedReasonHasAStepAndAMeaning() {
    let steps: Set = ["ingress", "parse", "bridge", "router", "filter", "egress"]
    var seen: Set<String> = []
    for reason in Reason.counted {
      #expect(steps.contains(reason.step), "\(reason.rawValue)")
      #expect(!reason.meaning.isEmpty)
      seen.insert(reason.step)
    }
    #expect(seen == steps)
    #expect(Reason.netfilterHook.step == "filter")
    #expect(Reason.sourceMoved.step == "bridge")
    #expect(Reason.egressQdisc.step == "egress")
    #expect(Reason.ttlExpired.step == "router")
    #expect(Reason.ipChecksum.step == "parse")
  }
}
