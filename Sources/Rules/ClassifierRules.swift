// SPDX-License-Identifier: Apache-2.0
import Introspection

/// A rule's conditions by field, ready to be laid out.
struct ClassifierRule {
  /// No packet can meet it.
  var isImpossible = false
  var values: [(field: ClassifierField, set: ValueSet)] = []
  var interfaces: [(input: Bool, condition: InterfaceCondition)] = []
  var late: [LateCondition] = []
  /// What whoever meets it has changed.
  var change: RuleChange?

  /// Every packet that arrives at it meets it, and nothing happens to it that rules could ask about.
  var isUnconditional: Bool {
    !isImpossible && values.isEmpty && interfaces.isEmpty && late.isEmpty && change == nil
  }

  enum InterfaceCondition: Hashable {
    case name(String, wildcard: Bool, negated: Bool)
    case index(UInt32, negated: Bool)

    func holds(_ interface: ClassifierInterface) -> Bool {
      switch self {
      case .name(let name, let wildcard, let negated):
        (wildcard
          ? interface.name.utf8.starts(with: name.utf8)
          : interface.name.utf8.elementsEqual(name.utf8)) != negated
      case .index(let index, let negated): (interface.index == index) != negated
      }
    }
  }

  init(_ rule: FlatRule) {
    var sets: [Field: ValueSet] = [:]
    for condition in rule.conditions {
      switch condition {
      case .field(let field, let set):
        sets[field] = sets[field].map { $0.intersection(set) } ?? set
      case .interface(let direction, let match):
        interfaces.append(
          (
            direction == .input,
            .name(match.name, wildcard: match.wildcard, negated: match.negated)
          ))
      case .interfaceIndex(let direction, let index, let negated):
        interfaces.append((direction == .input, .index(index, negated: negated)))
      case .late(let condition): late.append(condition)
      }
    }
    if case .change(let change, _) = rule.action { self.change = change }
    addKind(sets[.transport], sets[.laterFragment])
    for field in Field.allCases {
      if let set = sets[field], let own = Self.field(field) { add(own, set) }
    }
  }

  private mutating func addKind(_ transports: ValueSet?, _ fragments: ValueSet?) {
    if transports == nil && fragments == nil { return }
    let transports = (transports ?? ValueSet(0...255)).intersection(ValueSet(0...255))
    var kinds = ValueSet.none
    for later in 0...1 where fragments?.contains(UInt128(later)) ?? true {
      kinds = kinds.union(
        ValueSet(
          transports.ranges.map {
            ($0.lowerBound + UInt128(later) * 256)...($0.upperBound + UInt128(later) * 256)
          }))
    }
    add(.kind, kinds)
  }

  private mutating func add(_ field: ClassifierField, _ set: ValueSet) {
    let domain = ValueSet(0...UInt128(field.last))
    let set = set.intersection(domain)
    if set.isEmpty { isImpossible = true }
    if set != domain { values.append((field, set)) }
  }

  private static func field(_ field: Field) -> ClassifierField? {
    switch field {
    case .source: .source
    case .destination: .destination
    case .transport, .laterFragment: nil
    case .sourcePort: .sourcePort
    case .destinationPort: .destinationPort
    case .tcpFlags: .tcpFlags
    case .icmp: .icmp
    case .length: .length
    case .ttl: .ttl
    case .tos: .tos
    case .mark: .mark
    case .packetType: .packetType
    case .connection: .connection
    case .connectionMark: .connectionMark
    case .arrivedDestination: .arrivedDestination
    case .arrivedDestinationPort: .arrivedDestinationPort
    }
  }
}

/// An interface of the namespace that packets may come in by or go out by.
package struct ClassifierInterface: Equatable, Hashable, Sendable {
  package var index: UInt32
  package var name: String

  package init(index: UInt32, name: String) { (self.index, self.name) = (index, name) }

  /// The name as two words of memory: IFNAMSIZ bytes.
  package var words: (UInt64, UInt64) {
    var bytes = Array(name.utf8.prefix(15))
    bytes += [UInt8](repeating: 0, count: 16 - bytes.count)
    func word(_ from: Int) -> UInt64 {
      (0..<8).reduce(0) { $0 | UInt64(bytes[from + $1]) << UInt64($1 * 8) }
    }
    return (word(0), word(8))
  }
}
