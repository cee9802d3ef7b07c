// SPDX-License-Identifier: Apache-2.0

/// A set or map of an nftables table.
///
/// Elements of anonymous sets are part of the rule that holds them. Those of named sets are kept where
/// only commits change them, so that the ruleset's generation covers them; where packets or time do, they
/// are read on demand (`RulesetReader.elements`).
package struct NamedSet: Equatable, Sendable {
  package var name: String
  package var flags: Flags = []
  /// nft's number for the kind of key (several six-bit numbers in a concatenation).
  package var keyType: UInt32 = 0
  package var keyLength: UInt32 = 0
  /// Lengths of the fields of a concatenation.
  package var fields: [UInt32] = []
  /// Of a map: the kind of value, `0xffffff00` a verdict.
  package var dataType: UInt32 = 0
  package var dataLength: UInt32 = 0
  /// Of a map to objects: `NFT_OBJECT_*`.
  package var objectType: UInt32 = 0
  /// How many elements it may hold; 0 no limit.
  package var size: UInt32 = 0
  /// Milliseconds.
  package var timeout: UInt64 = 0
  /// Names of the statements each element runs when it matches.
  package var statements: [String] = []
  package var elements: [Element] = []
  /// Whether `elements` are all that the set has; else there are none in it.
  package var isRead = false

  package init(name: String) { self.name = name }

  package struct Flags: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let anonymous = Flags(rawValue: 1)
    package static let constant = Flags(rawValue: 2)
    package static let interval = Flags(rawValue: 4)
    package static let map = Flags(rawValue: 8)
    package static let timeout = Flags(rawValue: 16)
    /// Rules add elements to it.
    package static let dynamic = Flags(rawValue: 32)
    package static let objectMap = Flags(rawValue: 64)
    package static let concatenation = Flags(rawValue: 128)
  }

  /// Whether its elements stay as they are from one generation of the ruleset to the next, as far as the
  /// set itself tells: rules may add some to a set that does not say so.
  var isSteady: Bool {
    flags.isDisjoint(with: [.timeout, .dynamic, .objectMap]) && timeout == 0 && statements.isEmpty
  }

  package var isVerdictMap: Bool { flags.contains(.map) && dataType == 0xffff_ff00 }

  package struct Element: Equatable, Sendable {
    package var key: [UInt8]
    /// The end of the range in sets of concatenated ranges; in other interval sets ranges are pairs
    /// of elements, the second with `isEnd`.
    package var keyEnd: [UInt8]?
    package var isEnd = false
    package var isCatchAll = false
    /// Whether a packet that finds it runs statements of this element: counters, limits …
    package var runsStatements = false
    package var value: Value?

    package enum Value: Equatable, Sendable {
      case data([UInt8])
      case verdict(Verdict)
      case object(String)
    }
  }
}

/// A named counter, quota, limit, connection tracking helper … of an nftables table.
package struct NamedObject: Equatable, Sendable {
  package var name: String
  /// `NFT_OBJECT_*`.
  package var type: UInt32
  /// Of its configuration, without what packets change; 0 where that is nothing.
  package var fingerprint: UInt64

  package init(name: String, type: UInt32, fingerprint: UInt64) {
    self.name = name
    self.type = type
    self.fingerprint = fingerprint
  }
}

/// A flowtable: connections that nftables' own fast path takes.
package struct Flowtable: Equatable, Sendable {
  package var name: String
  package var hook: UInt32
  package var priority: Int32
  package var flags: UInt32
  package var devices: [String]

  package init(name: String, hook: UInt32, priority: Int32, flags: UInt32, devices: [String]) {
    self.name = name
    self.hook = hook
    self.priority = priority
    self.flags = flags
    self.devices = devices
  }
}
