// SPDX-License-Identifier: Apache-2.0
import OrderedJSON

/// The graph document as the renderers need it: every text printable, every part optional, so that a
/// newer fpd's graph is still shown.
struct GraphView {
  struct Node {
    let name: String
    let conf: [(key: String, value: String)]
    let next: [String]
  }

  struct Reason {
    let name: String
    let scope: String
    let detail: String
  }

  struct Interface {
    let name: String
    let index: String
    let hook: String
    let nodes: [Node]
    let reasons: [Reason]

    /// Where a node hands on to, apart from the node that stands next to it anyway.
    func jumps(from place: Int) -> [String] {
      let following = place + 1 < nodes.count ? nodes[place + 1].name : nil
      return nodes[place].next.filter { $0 != following }
    }

    /// Whether a node hands on to the one that stands next to it.
    func feedsNeighbour(_ place: Int) -> Bool {
      place + 1 < nodes.count && nodes[place].next.contains(nodes[place + 1].name)
    }
  }

  let generation: String
  let interfaces: [Interface]

  init(_ graph: JSON) {
    generation = graph["generation"].map(shown) ?? "?"
    interfaces = (graph["interfaces"]?.object?.members ?? []).map { name, value in
      Interface(
        name: printable(name), index: value["ifindex"].map(shown) ?? "?",
        hook: value["hook"].map(shown) ?? "none",
        nodes: (value["graph"]?.object?.members ?? []).map(Self.node),
        reasons: (value["slow_path"]?.array ?? []).map(Self.reason))
    }
  }

  private static func node(_ name: String, _ value: JSON) -> Node {
    let next =
      switch value["next_nf"] {
      case .string(let name): [printable(name)]
      case .array(let names): names.map(shown)
      default: [String]()
      }
    return Node(
      name: printable(name),
      conf: (value["conf"]?.object?.members ?? []).map { (printable($0.key), shown($0.value)) },
      next: next)
  }

  private static func reason(_ value: JSON) -> Reason {
    Reason(
      name: value["reason"].map(shown) ?? shown(value),
      scope: value["scope"].map(shown) ?? "packets",
      detail: value["detail"].flatMap(\.string).map(printable) ?? "")
  }
}

/// A value as people read it: text without quotes, a list of words with commas.
func shown(_ value: JSON) -> String {
  switch value {
  case .null: "-"
  case .bool(let value): value ? "yes" : "no"
  case .string(let text): text.isEmpty ? "\"\"" : printable(text)
  case .array(let values) where values.isEmpty: "none"
  case .array(let values) where values.allSatisfy(isPlain): values.map(shown).joined(separator: ",")
  default: printable(value.text())
  }
}

private func isPlain(_ value: JSON) -> Bool {
  switch value {
  case .array, .object: false
  default: true
  }
}
