// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab

/// `fplab shell`: a lab to step into by hand, there until ctrl-C or the end of input.
enum Shell {
  private enum Topology: String, CaseIterable {
    case router, bridge, chain

    var about: String {
      switch self {
      case .router: "two hosts with a router between them"
      case .bridge: "four hosts on a bridge"
      case .chain: "two hosts with three routers between them"
      }
    }

    func build() throws -> Testbed {
      switch self {
      case .router: try .hostRouterHost(ipv6: .quiet)
      case .bridge: try .bridged(hosts: 4, ipv6: .quiet)
      case .chain: try .chain(routers: 3, ipv6: .quiet)
      }
    }
  }

  static func run(_ arguments: [String]) throws {
    guard let topology = Topology(rawValue: arguments.first ?? "router"), arguments.count < 2 else {
      Terminal.complain("usage: fplab shell [TOPOLOGY]")
      for topology in Topology.allCases {
        Terminal.complain("  \(topology.rawValue)  \(topology.about)")
      }
      exit(2)
    }
    let bed = try topology.build()
    Terminal.line("This lab: \(topology.about). Step in with")
    for (word, namespace) in bed.namespaces.sorted(by: { $0.key < $1.key }) {
      Terminal.line("  nsenter --net=\(namespace.path)   # \(word)")
    }
    Terminal.line("It goes away with ctrl-C or the end of input.")
    while readLine() != nil {}
    bed.close()
  }
}
