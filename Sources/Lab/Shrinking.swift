// SPDX-License-Identifier: Apache-2.0

/// A way to make a case smaller: parts of which any may be left out.
package struct Reduction<Subject> {
  let count: (Subject) -> Int
  let without: (Subject, Range<Int>) -> Subject

  package init(
    count: @escaping (Subject) -> Int, without: @escaping (Subject, Range<Int>) -> Subject
  ) {
    (self.count, self.without) = (count, without)
  }

  /// Parts that lie in several places of the subject, counted one place after the other: how many there are in
  /// each, and what leaves some of a place's out.
  package init(
    across counts: @escaping (Subject) -> [Int],
    remove: @escaping (inout Subject, Int, Range<Int>) -> Void
  ) {
    self.init {
      counts($0).reduce(0, +)
    } without: { subject, range in
      var smaller = subject
      let counts = counts(subject)
      var end = counts.reduce(0, +)
      // From the end on: what is left out there leaves the places before as they are.
      for (place, count) in counts.enumerated().reversed() {
        let first = end - count
        let part = range.clamped(to: first..<end)
        if !part.isEmpty {
          remove(&smaller, place, part.lowerBound - first..<part.upperBound - first)
        }
        end = first
      }
      return smaller
    }
  }
}

/// Finds a small case that still fails: what can be left out of one that fails is, in pieces as large as
/// possible first, until no single part can be left out any more or time is up.
package struct Shrinking<Subject: Equatable> {
  package private(set) var subject: Subject
  /// How many cases were tried.
  package private(set) var tries = 0
  /// Whether nothing is left that could be left out.
  package private(set) var isLeast = false
  private let deadline: Instant

  package init(_ subject: Subject, within limit: Duration) {
    self.subject = subject
    deadline = .now + limit
  }

  private var mayGoOn: Bool { Instant.now < deadline }

  package mutating func run(
    _ reductions: [Reduction<Subject>], stillFails: (Subject) throws -> Bool
  ) rethrows {
    while mayGoOn {
      let before = subject
      for reduction in reductions { try apply(reduction, stillFails) }
      if subject == before {
        isLeast = mayGoOn
        return
      }
    }
  }

  private mutating func apply(
    _ reduction: Reduction<Subject>, _ stillFails: (Subject) throws -> Bool
  ) rethrows {
    var size = reduction.count(subject)
    while size > 0 {
      // From the end on: what is left out there leaves the places before as they are.
      var end = reduction.count(subject)
      while end > 0, mayGoOn {
        let part = max(0, end - size)..<end
        end = part.lowerBound
        let smaller = reduction.without(subject, part)
        if smaller == subject { continue }
        tries += 1
        if try stillFails(smaller) { subject = smaller }
        end = min(end, reduction.count(subject))
      }
      size /= 2
    }
  }
}
