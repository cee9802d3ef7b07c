// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// What the kernel is configured to do with a packet on each interface, in order, and what stands in
/// the way of doing it faster.
package struct ProcessingGraph: Equatable, Sendable {
  package var interfaces: [InterfaceGraph] = []
  /// What stands on netfilter's hooks although it is all harmless: programs make sure of it.
  package var hooks = HarmlessHooks()

  package init() {}

  package static let version = 1

  package subscript(name: String) -> InterfaceGraph? { interfaces.first { $0.name == name } }
}

package struct InterfaceGraph: Equatable, Sendable {
  package var name: String
  package var index: Int32
  /// Where a fast path for this graph belongs; `none` when the interface stays slow as a whole.
  package var hook: Hook
  package var nodes: [Node]
  package var slowPath: [SlowPath]
  /// Modules that can finish packets; with none of them a fast path would only hand on.
  package var fast: Set<Module> = []
  /// What a program has to know of the device beside the graph.
  package var device = DeviceTraits()

  /// Whether a program decides by firewall rules what becomes of packets.
  package var judgesRules: Bool { fast.contains(.filter) }

  /// What keeps the interface slow as a whole, if anything.
  package var obstacle: SlowPath? { slowPath.first { $0.scope == .interface } }
}

package enum Hook: String, Sendable {
  case xdp
  case genericXDP = "xdp-generic"
  case tc
  case none
}

/// For rooms that have hooks of their own.
package typealias GraphHook = Hook

/// Of a device, what a program is made for.
package struct DeviceTraits: Equatable, Sendable {
  /// Its frames may come from a local sender.
  package var isVeth = false
  /// There are bridges that packets could be routed into, now or as soon as one gets an address.
  package var bridgesExist = false
  /// Functions stand on IPv4's hooks that depend on rules.
  package var rulesExist = false
  /// They are asked for what its bridge passes on, too, and programs ask them.
  package var judgesBridged = false
  /// The function that takes its frames before any protocol does: the bridge's.
  package var receiveHandler: UInt64 = 0
  /// A bridge that packets may enter filters by VLAN.
  package var meetsVLANs = false
}

/// The functions on netfilter's hooks, point by point as the kernel numbers them, when they are all known
/// to leave alone what the fast path takes.
package struct HarmlessHooks: Equatable, Sendable {
  /// How many functions on one hook programs have room for.
  package static let capacity = 12

  package var ipv4: [[UInt64]] = Array(repeating: [], count: 5)
  package var bridge: [[UInt64]] = Array(repeating: [], count: 5)

  package init() {}
}

/// A module and how it is specialised, and which module comes after it.
package struct Node: Equatable, Sendable {
  package var module: Module
  package var conf: JSON.Object
  package var next: Module?
}

package enum Module: String, Sendable { case bridge, conntrack, filter, router }

package struct SlowPath: Equatable, Sendable {
  package enum Scope: String, Sendable { case packets, interface }
  package var reason: Reason
  package var scope: Scope
  package var detail: String?

  package init(reason: Reason, scope: Scope, detail: String? = nil) {
    self.reason = reason
    self.scope = scope
    self.detail = detail
  }
}

extension ProcessingGraph {
  /// The public document; with a name, of that interface alone.
  package func json(generation: UInt64, only name: String? = nil) -> JSON {
    var members = JSON.Object()
    for interface in interfaces where name == nil || interface.name == name {
      members.append(interface.name, interface.json)
    }
    return [
      "version": .number(Self.version), "generation": .number(generation),
      "interfaces": .object(members),
    ]
  }
}

extension InterfaceGraph {
  package var json: JSON {
    var graph = JSON.Object()
    for node in nodes {
      graph.append(
        node.module.rawValue,
        [
          "conf": .object(node.conf),
          "next_nf": node.next.map { .string($0.rawValue) } ?? .null,
        ])
    }
    return [
      "ifindex": .number(index), "hook": .string(hook.rawValue), "graph": .object(graph),
      "slow_path": .array(slowPath.map(\.json)),
    ]
  }
}

extension SlowPath {
  package var json: JSON {
    var members = JSON.Object()
    members.append("reason", .string(reason.rawValue))
    members.append("scope", .string(scope.rawValue))
    if let detail { members.append("detail", .string(detail)) }
    return .object(members)
  }
}
