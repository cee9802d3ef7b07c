// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// What the kernel is configured to do with a packet on each interface, in order, and what stands in
/// the way of doing it faster.
package struct ProcessingGraph: Equatable, Sendable {
  package var interfaces: [InterfaceGraph] = []

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

  /// What keeps the interface slow as a whole, if anything.
  package var obstacle: SlowPath? { slowPath.first { $0.scope == .interface } }
}

package enum Hook: String, Sendable {
  case xdp
  case genericXDP = "xdp-generic"
  case tc
  case none
}

/// A module and how it is specialised, and which module comes after it.
package struct Node: Equatable, Sendable {
  package var module: Module
  package var conf: JSON.Object
  package var next: Module?
}

package enum Module: String, Sendable { case bridge, filter, router }

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
