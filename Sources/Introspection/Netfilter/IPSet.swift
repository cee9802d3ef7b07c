// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

/// An ipset. Equality is about how the set was created: elements come and go, and so do the
/// references to it and the size of its hash table.
package struct IPSet: Sendable {
  package var name: String
  /// How matches name the set (`SetMatch.index`); kernels before 4.20 do not tell.
  package var index: UInt16?
  /// `hash:ip`, `hash:net,port` …
  package var type = ""
  /// `NFPROTO_*`; 0 for sets without addresses.
  package var family: UInt8 = 0
  package var revision: UInt8 = 0
  /// How many elements it may hold.
  package var limit: UInt32 = 0
  /// Seconds an element lives unless told otherwise; `nil` when elements do not expire.
  package var timeout: UInt32?
  package var features: Features = []
  /// Of what else it was created with: netmask, range, mark mask.
  package var fingerprint: UInt64 = 0
  package var usage = Usage()

  package init(name: String) { self.name = name }

  /// `IPSET_FLAG_WITH_*`.
  package struct Features: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let counters = Features(rawValue: 1 << 3)
    package static let comments = Features(rawValue: 1 << 4)
    package static let forceAdd = Features(rawValue: 1 << 5)
    package static let packetInfo = Features(rawValue: 1 << 6)
  }

  /// What changes without anybody changing the set's definition.
  package struct Usage: Equatable, Sendable {
    package var elements: UInt32 = 0
    package var hashSize: UInt32 = 0
    package var references: UInt32 = 0
    package var memory: UInt32 = 0
  }
}

extension IPSet: Equatable {
  package static func == (a: IPSet, b: IPSet) -> Bool {
    a.name == b.name && a.index == b.index && a.type == b.type && a.family == b.family
      && a.revision == b.revision && a.limit == b.limit && a.timeout == b.timeout
      && a.features == b.features && a.fingerprint == b.fingerprint
  }
}

extension IPSet {
  /// An answer to IPSET_CMD_LIST, `struct nfgenmsg` and attributes; `nil` when it is none of a set.
  package static func parse(_ payload: Bytes) -> IPSet? {
    var set = IPSet(name: "")
    for field in Attributes(payload, after: 4) {
      switch field.type {
      case IPSET_ATTR_SETNAME: set.name = field.string
      case IPSET_ATTR_TYPENAME: set.type = field.string
      case IPSET_ATTR_REVISION: set.revision = field.u8 ?? 0
      case IPSET_ATTR_FAMILY: set.family = field.u8 ?? 0
      case IPSET_ATTR_INDEX: set.index = field.big16
      case IPSET_ATTR_DATA: set.created(field.nested)
      default: break
      }
    }
    return set.name.isEmpty || set.type.isEmpty ? nil : set
  }

  private mutating func created(_ fields: Attributes) {
    for field in fields {
      switch field.type {
      case IPSET_ATTR_ELEMENTS: usage.elements = field.big32 ?? 0
      case IPSET_ATTR_HASHSIZE: usage.hashSize = field.big32 ?? 0
      case IPSET_ATTR_REFERENCES: usage.references = field.big32 ?? 0
      case IPSET_ATTR_MEMSIZE: usage.memory = field.big32 ?? 0
      case IPSET_ATTR_MAXELEM, IPSET_ATTR_SIZE: limit = field.big32 ?? 0
      case IPSET_ATTR_TIMEOUT: timeout = field.big32
      case IPSET_ATTR_CADT_FLAGS: features = Features(rawValue: field.big32 ?? 0)
      case IPSET_ATTR_INITVAL: break  // the hash's random seed
      default:
        fingerprint = field.payload.fingerprint(from: fingerprint &+ UInt64(field.type) &+ 1)
      }
    }
  }

  /// Of an answer to IPSET_CMD_LIST, the name alone.
  package static func name(_ payload: Bytes) -> String? {
    for field in Attributes(payload, after: 4) where field.type == IPSET_ATTR_SETNAME {
      return field.string
    }
    return nil
  }

  /// Folds one answer to IPSET_CMD_LIST into an identity of all sets, without building values. The
  /// order of the sets does not matter.
  package static func identity(_ payload: Bytes) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for field in Attributes(payload, after: 4) {
      guard field.type == IPSET_ATTR_DATA else {
        hash = field.payload.fingerprint(from: hash &+ UInt64(field.type))
        continue
      }
      for field in field.nested {
        switch field.type {
        case IPSET_ATTR_ELEMENTS, IPSET_ATTR_HASHSIZE, IPSET_ATTR_REFERENCES, IPSET_ATTR_MEMSIZE,
          IPSET_ATTR_INITVAL:
          break
        default: hash = field.payload.fingerprint(from: hash &+ UInt64(field.type))
        }
      }
    }
    return hash
  }
}
