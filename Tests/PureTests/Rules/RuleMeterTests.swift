// SPDX-License-Identifier: Apache-2.0
import Introspection
import Rules
import Testing

@Suite struct RuleMeterTests {
  private let list = RuleTable.legacy([Rule([], .fallThrough), Rule([], .fallThrough)]).flat()

  private func tally(_ packets: UInt64) -> Tally { Tally(packets: packets, bytes: packets * 60) }

  /// The policy's counter too, and one that counts for the first two at once.
  private func meter() -> RuleMeter {
    RuleMeter(list, counters: list.origins.indices.map { [$0] } + [[0, 1]])
  }

  @Test func eachReadingTellsWhatCameSinceTheLast() throws {
    try #require(list.origins.count == 3)
    var meter = meter()
    #expect(meter.advance([.zero, .zero, .zero, .zero]).isEmpty)
    #expect(meter.advance([tally(5), .zero, .zero, .zero]) == [list.origins[0]: tally(5)])
    #expect(
      meter.advance([tally(7), .zero, tally(1), .zero])
        == [list.origins[0]: tally(2), list.origins[2]: tally(1)])
    #expect(meter.advance([tally(7), .zero, tally(1), .zero]).isEmpty)
  }

  @Test func aCounterForSeveralCountsForEach() {
    var meter = meter()
    #expect(
      meter.advance([tally(1), .zero, .zero, tally(10)])
        == [list.origins[0]: tally(11), list.origins[1]: tally(10)])
  }

  @Test func aHalfWrittenCounterIsReadTheNextTime() {
    var meter = meter()
    _ = meter.advance([tally(5)])
    #expect(meter.advance([Tally(packets: 6, bytes: 60)]).isEmpty)
    #expect(meter.advance([tally(8)]) == [list.origins[0]: tally(3)])
  }

  @Test func moreThanThereIsIsNotCounted() {
    var meter = meter()
    #expect(meter.advance([.zero, .zero, .zero, .zero, tally(9)]).isEmpty)
  }
}
