// SPDX-License-Identifier: Apache-2.0
import Introspection
import Netlink

/// Decides when the routing tables are looked through: at once while they are small, and never for more
/// than a small share of the time when they are large. A kind that appears is known at once, from its
/// event; a kind that vanished is noticed by the next survey.
struct RouteTracker {
  private let survey: RouteSurvey
  private let share: Int
  private var wanted = true
  private var arrived = Routes()
  private var spent = Duration.zero
  private var rest = ContinuousClock.now

  /// Datagrams of 32 KiB taken in one go: a few milliseconds.
  private static let piece = 24

  init(share: Int) throws(NetlinkError) {
    survey = try RouteSurvey()
    self.share = share
  }

  var descriptor: Int32 { survey.descriptor }

  /// Whether a survey is running, or will start as soon as it may, and is worth waiting for.
  var isDue: Bool { survey.isRunning && spent < .milliseconds(50) || wanted && mayStart }

  private var mayStart: Bool { !survey.isRunning && ContinuousClock.now >= rest }

  mutating func want() { wanted = true }

  /// Takes note of kinds whose first route was announced; answers whether one is new.
  mutating func noteArrivals(_ routes: Routes, in state: inout NetworkState) -> Bool {
    arrived.ipv4.formUnion(routes.ipv4)
    arrived.ipv6.formUnion(routes.ipv6)
    let before = state.routes
    state.routes.ipv4.formUnion(routes.ipv4)
    state.routes.ipv6.formUnion(routes.ipv6)
    return state.routes != before
  }

  mutating func startIfDue(feed: ChangeFeed) throws(NetlinkError) {
    guard wanted, mayStart else { return }
    wanted = false
    spent = .zero
    arrived = Routes()
    // While tables are looked through, every special route is news: one that comes in behind the
    // place the survey has reached must not be missed.
    feed.expectOnlyPlain()
    try survey.start()
  }

  /// Goes on with a running survey; answers whether what is known changed or is complete.
  mutating func advance(feed: ChangeFeed, state: inout NetworkState) throws(NetlinkError) -> Bool {
    guard survey.isRunning else {
      _ = try survey.advance(limit: Self.piece)
      return false
    }
    let start = ContinuousClock.now
    let result = try survey.advance(limit: Self.piece)
    let now = ContinuousClock.now
    spent += now - start
    guard var result else {
      let before = state.routes
      state.routes.ipv4.formUnion(survey.found.ipv4)
      state.routes.ipv6.formUnion(survey.found.ipv6)
      return state.routes != before
    }
    rest = now + spent * share
    result.ipv4.formUnion(arrived.ipv4)
    result.ipv6.formUnion(arrived.ipv6)
    // Plain routes were kept from us meanwhile: without any, the next look is cheap.
    if !result.ipv4.contains(.plain) && state.routes.ipv4.contains(.plain)
      || !result.ipv6.contains(.plain) && state.routes.ipv6.contains(.plain)
    {
      wanted = true
    }
    state.routes = result
    feed.expect(result)
    return true
  }
}
