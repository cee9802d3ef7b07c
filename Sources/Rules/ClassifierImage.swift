// SPDX-License-Identifier: Apache-2.0

/// A ruleset as `fpm/filter.h` reads it: the one value of the map `fpd_filter`, and what the program has to
/// be compiled with. The same ruleset and interfaces always make the same image.
package struct ClassifierImage: Equatable, Sendable {
  package var shape: ClassifierShape
  /// The value of the map: as many bytes as `shape.valueSize` says, of which `used` are not zero padding.
  package var bytes: [UInt8]
  package var used: Int
  /// What each entry of the map `fpd_rule_counts` counts: indices in `FlatRuleset.origins`. The first are the
  /// origins one by one; then come entries that count for several at once.
  package var counters: [[Int]]
}

/// What a program knows of the rules when it is compiled: as long as this stays the same, other rules are
/// other data for the same program.
package struct ClassifierShape: Equatable, Hashable, Sendable {
  /// A bit for each `ClassifierField` that any rule looks at; 0: no rule has a condition.
  package var fields: UInt32
  /// Words that say in which chunks of 64 rules a row has any; 0: a row is one word.
  package var summary: Int
  /// The room for the image, a power of two.
  package var size: Int
  /// The number of counters there is room for.
  package var counters: Int
  /// A bit for each kind of late condition.
  package var checks: UInt32
  /// Whether packets come to rules before their connection is known.
  package var precedesTracking: Bool
  /// Whether rules have packets not tracked.
  package var untracks: Bool

  package init(
    fields: UInt32, summary: Int, size: Int, counters: Int, checks: UInt32,
    precedesTracking: Bool = false, untracks: Bool = false
  ) {
    (self.fields, self.summary, self.size) = (fields, summary, size)
    (self.counters, self.checks) = (counters, checks)
    (self.precedesTracking, self.untracks) = (precedesTracking, untracks)
  }

  /// The size of the value of `fpd_filter`.
  package var valueSize: Int { size + ClassifierLayout.slack }

  /// Whether rules look behind the IPv4 header: those about sets do wherever a set has ports.
  package var usesTransport: Bool {
    let asking: [ClassifierField] = [
      .sourcePort, .destinationPort, .arrivedDestinationPort, .tcpFlags, .icmp,
    ]
    return asking.contains { uses($0) } || uses(.set)
  }

  /// What most rules ask for is looked at if any of it is asked for, at a few nanoseconds: the next rule then
  /// needs no other program.
  static func rounded(_ fields: UInt32) -> UInt32 {
    let usual: [ClassifierField] = [.source, .destination, .kind, .sourcePort, .destinationPort]
    return usual.reduce(fields) { $0 | $1.bit }
  }

  /// Whether an interface more or less makes another image.
  package var usesInterfaces: Bool { uses(.input) || uses(.output) }

  /// Whether rules ask for what only the kernel's memory tells (`fpm/live/late.h`): the program needs a
  /// layout in front, and `packet->network`.
  package var asksKernel: Bool { uses(.set) || uses(.sourceType) }

  package func uses(_ field: ClassifierField) -> Bool { fields & field.bit != 0 }
  package func uses(_ check: ClassifierCheck) -> Bool { checks & 1 << check.rawValue != 0 }

  /// The lines in front of `#include "filter.h"`.
  package var definitions: String {
    """
    #define FILTER_FIELDS \(fields)
    #define FILTER_SUMMARY \(summary)
    #define FILTER_SIZE \(size)
    #define FILTER_COUNTERS \(counters)
    #define FILTER_CHECKS \(checks)

    """ + (asksKernel ? "#define FILTER_ASKS_KERNEL 1\n" : "")
      + (untracks ? "#define FILTER_UNTRACKS 1\n" : "")
  }
}

/// What is looked up of a packet, in the order of the fields in `fpm/filter.h`.
package enum ClassifierField: Int, CaseIterable, Sendable {
  case source, destination
  /// The transport protocol, and from 256 on that of later fragments.
  case kind
  case sourcePort, destinationPort, tcpFlags, icmp, length, ttl, tos, mark, packetType
  case input, output, connection, connectionMark, arrivedDestination, arrivedDestinationPort

  var bit: UInt32 { 1 << UInt32(rawValue) }

  /// The largest value it can have.
  var last: UInt64 {
    switch self {
    case .source, .destination, .arrivedDestination, .mark, .input, .output, .connectionMark:
      0xffff_ffff
    case .kind: 0x1ff
    case .sourcePort, .destinationPort, .arrivedDestinationPort, .icmp, .length: 0xffff
    case .tcpFlags, .ttl, .tos: 0xff
    case .packetType: 7
    case .connection: 255
    }
  }
}

/// The kinds of late conditions, as numbered in `fpm/filter.h`.
package enum ClassifierCheck: UInt32, Sendable {
  case source, destination, mark, sourceMAC, sourceType, set, connectionMark, marks
  /// No condition: the mark that the packet has from there on.
  case change
}

/// Why a ruleset has no image: all its packets are the kernel's.
package enum ClassifierRefusal: Error, Equatable, Sendable {
  /// Only IPv4 is classified.
  case family
  case tooManyRules(Int)
  /// The image would have so many bytes.
  case tooLarge(Int)
}

extension ClassifierRefusal: CustomStringConvertible {
  /// In words for users.
  package var description: String {
    switch self {
    case .family: "rules of another family than IPv4"
    case .tooManyRules(let count): "\(count) rules are more than the fast path holds"
    case .tooLarge(let bytes): "compiled, the rules take \(bytes) bytes"
    }
  }
}

/// The numbers that `fpm/filter.h` knows as well.
package enum ClassifierLayout {
  package static let slack = 1024
  package static let rulesMax = 65_536
  package static let checksMax = 8
  /// Of one path.
  package static let originsMax = 64

  // Bytes from the beginning of the image: struct filter_head.
  package static let rules = 8
  package static let turns = 12
  package static let first = 16
  package static let roots = 32
  package static let checks = 104
  package static let tracked = 108
  package static let bits = 112
  package static let kind = 176
  package static let tcpFlags = 2224
  package static let ttl = 3248
  package static let tos = 4272
  package static let packetType = 5296
  package static let connection = 5328
  package static let headSize = 6352

  package static let line: UInt32 = 1 << 31
  package static let block: UInt32 = 1 << 30
  package static let borders = 9
  package static let lanes: UInt64 = 1 | 1 << 17 | 1 << 34
  package static let noBorder: UInt64 = 0x10000

  package static let none = UInt32.max
  package static let ruleEnds: UInt32 = 1 << 23
  package static let ruleIsLast: UInt32 = 1 << 22
  package static let ruleChanges: UInt32 = 1 << 21
  package static let ruleUntracks: UInt32 = 1 << 20
  package static let ruleNoCounter: UInt32 = (1 << 24) - 1
  package static let deBruijn: UInt64 = 0x03f7_9d71_b4cb_0a89

  package static let checkNegated: UInt32 = 1 << 8
  package static let checkLast: UInt32 = 1 << 9

  /// The room for images: in steps, so that few rulesets ask for another program.
  package static let sizes = [16, 19, 21, 22, 23, 24, 25, 26].map { 1 << $0 }
  package static let counterSizes = [64, 1024, 16_384, 131_072]

  /// The table of a field that has one value for each entry; `nil` for those that are searched.
  package static func table(of field: ClassifierField) -> Int? {
    switch field {
    case .kind: kind
    case .tcpFlags: tcpFlags
    case .ttl: ttl
    case .tos: tos
    case .packetType: packetType
    case .connection: connection
    default: nil
    }
  }
}

/// How the way of a packet ends, as numbered in `fpm/filter.h`.
package enum ClassifierEnd: UInt32, Sendable {
  case accept, drop, unknown, effect, tooMany

  init(_ cause: FlatRule.Cause) {
    switch cause {
    case .unknown: self = .unknown
    case .effect: self = .effect
    case .tooMany: self = .tooMany
    }
  }
}
