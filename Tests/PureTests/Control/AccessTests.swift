// SPDX-License-Identifier: Apache-2.0
import Control
import Testing

@Suite struct AccessTests {
  private static let root = Peer(pid: 1, user: 0, groups: [0])
  private static let member = Peer(pid: 2, user: 1000, groups: [1000, 42])
  private static let primary = Peer(pid: 3, user: 1001, groups: [42])
  private static let stranger = Peer(pid: 4, user: 1002, groups: [1002])

  @Test(
    arguments: [
      (root, nil, Privilege.read, true), (root, nil, .administer, true),
      (root, 42, .administer, true),
      (member, 42, .read, true), (member, 42, .administer, false), (member, nil, .read, false),
      (primary, 42, .read, true), (primary, 42, .administer, false),
      (stranger, 42, .read, false), (stranger, nil, .read, false),
      (stranger, 42, .administer, false),
    ] as [(Peer, UInt32?, Privilege, Bool)])
  func rootMayAllAndTheGroupMayRead(
    _ peer: Peer, _ readers: UInt32?, _ privilege: Privilege, _ expected: Bool
  ) {
    #expect(Access(readers: readers).allows(peer, privilege) == expected)
  }

  /// Group number 0 is root's group, not everybody's.
  @Test func theGroupRootIsNotTheUserRoot() {
    let peer = Peer(pid: 1, user: 1000, groups: [0])
    #expect(!Access(readers: nil).allows(peer, .read))
    #expect(!Access(readers: 0).allows(peer, .administer))
  }

  @Test func tellsWhoMay() {
    let refusal = Access(readers: 42).refusal(Self.stranger, .graph)
    #expect(refusal?.kind == .denied)
    #expect(refusal?.description.contains("uid 1002") == true)
    #expect(Access(readers: 42).refusal(Self.member, .graph) == nil)
  }

  @Test func everyCommandOfTodayOnlyReads() {
    #expect(Command.allCases.allSatisfy { $0.privilege == .read })
  }
}
