// SPDX-License-Identifier: Apache-2.0
import Introspection

/// What nftables' registers hold while a rule runs.
struct Registers {
  /// A value of `length` bytes: part of the packet, or what the kernel knows of it.
  struct Value: Equatable {
    var source: PacketField.Source
    var length: Int
    /// What it is ANDed with, as a number in network order; `nil` for all of it.
    var mask: UInt128?
    /// Whether `byteorder` has put it into network order.
    var swapped = false
    /// Whether it is settled that the packet has it, or somebody asks.
    var isSettled = true
  }

  private var values: [(slot: Int, value: Value)] = []
  /// What marks can be made of, as the machine has it in a register.
  private var marks: [(slot: Int, mark: MarkChange)] = []
  /// Whether something was loaded that not every packet has, and never looked at.
  private(set) var holdsUnsettled = false

  typealias Register = RuleExpression.Register

  mutating func load(_ value: Value, _ to: Register) {
    forget(to, value.length)
    guard to != .verdict, value.length > 0, value.length <= 64 else {
      if !value.isSettled { holdsUnsettled = true }
      return
    }
    values.append((Int(to.slot), value))
  }

  mutating func forget(_ register: Register, _ length: Int) {
    guard register != .verdict else { return }
    let first = Int(register.slot)
    let end = first + max(1, (length + 3) / 4)
    marks.removeAll { first..<end ~= $0.slot }
    values.removeAll { slot, value in
      guard slot < end && first < slot + (value.length + 3) / 4 else { return false }
      if !value.isSettled { holdsUnsettled = true }
      return true
    }
  }

  mutating func forgetAll() {
    if values.contains(where: { !$0.value.isSettled }) { holdsUnsettled = true }
    values.removeAll()
    marks.removeAll()
  }

  // MARK: Marks

  mutating func load(mark: MarkChange, _ to: Register) {
    if to != .verdict { marks.append((Int(to.slot), mark)) }
  }

  func mark(_ register: Register) -> MarkChange? {
    marks.last { $0.slot == Int(register.slot) }?.mark
  }

  /// What was loaded of the packet's mark is not what it has now.
  mutating func forgetPacketMark() {
    values.removeAll { $0.value.source == .meta(NFT.Meta.mark) }
    marks.removeAll { $0.mark.packet != 0 }
  }

  /// What a register holds, for asking whether the packet has it too.
  mutating func use(_ register: Register) -> Value? { use(slot: Int(register.slot)) }

  /// The values from a register on that make up a key of so many bytes, each padded to four.
  mutating func use(_ register: Register, keyLength: Int) -> [Value]? {
    var found: [Value] = []
    var slot = Int(register.slot)
    var missing = keyLength
    while missing > 0 {
      guard let value = use(slot: slot) else { return nil }
      found.append(value)
      slot += (value.length + 3) / 4
      if found.count == 1 && value.length >= missing {
        return value.length == missing ? found : nil
      }
      missing -= (value.length + 3) & ~3
    }
    return missing == 0 || (missing > -4 && !found.isEmpty) ? found : nil
  }

  private mutating func use(slot: Int) -> Value? {
    guard let at = values.lastIndex(where: { $0.slot == slot }) else { return nil }
    values[at].value.isSettled = true
    return values[at].value
  }
}

extension Registers.Value {
  /// Whether it is a number of four bytes in the machine's order.
  var isInHostOrder: Bool {
    switch source {
    case .meta(NFT.Meta.mark): true
    case .conntrack(let key, _): NFT.Conntrack.length(key) == 4
    default: false
    }
  }
}

/// nftables' numbers for what it loads, as of the kernel's uapi headers.
enum NFT {
  enum Payload { static let (link, network, transport): (UInt8, UInt8, UInt8) = (0, 1, 2) }
  enum Meta {
    static let proto: UInt32 = 1
    static let mark: UInt32 = 3
    static let input: UInt32 = 4
    static let output: UInt32 = 5
    static let inputName: UInt32 = 6
    static let outputName: UInt32 = 7
    static let family: UInt32 = 15
    static let transport: UInt32 = 16
    static let packetType: UInt32 = 19

    /// How long a value is; `nil` for keys that are not understood here.
    static func length(_ key: UInt32) -> Int? {
      switch key {
      case inputName, outputName: 16
      case proto: 2
      case family, transport, packetType: 1
      case mark, input, output: 4
      default: nil
      }
    }
  }
  enum Conntrack {
    static let (state, direction, status, mark): (UInt32, UInt32, UInt32, UInt32) = (0, 1, 2, 3)

    /// How long a value is; `nil` for keys that are not understood here.
    static func length(_ key: UInt32) -> Int? {
      switch key {
      case state, status, mark: 4
      case direction: 1
      default: nil
      }
    }
  }
}
