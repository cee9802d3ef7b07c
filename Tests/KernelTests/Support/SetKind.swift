// SPDX-License-Identifier: Apache-2.0
import Lab

/// A type of sets, with a rule that asks one for what it is about, and with elements.
struct SetKind: Sendable {
  let type: String
  var options = ""
  let match: String
  /// Elements, each with packets that are in the set because of it.
  let elements: [(element: String, members: [Probe])]
  /// An exception, with the packets that are not in the set because of it.
  var exception: (element: String, packets: [Probe])?
  let others: [Probe]
  /// A packet that is in the set, in the words of `fpctl why`.
  let why: String

  /// Sets are named like this, with a number behind.
  var name: String { type.filter { $0.isLetter } }
  func rule(_ number: Int = 0) -> String {
    match.replacing("SET", with: "-m set --match-set \(name)\(number)")
  }
  func create(_ number: Int, _ more: String = "") -> String {
    "create \(name)\(number) \(type) \(options) \(more)"
  }
  func addition(_ element: String, to number: Int) -> String {
    "add \(name)\(number) \(element)"
  }

  /// Lines that fill a set with all there is.
  func additions(to number: Int, _ more: String = "") -> [String] {
    elements.map { addition($0.element, to: number) + more }
      + (exception.map { [addition($0.element, to: number) + more + " nomatch"] } ?? [])
  }

  var members: [Probe] { elements.flatMap(\.members) }
  var exceptions: [Probe] { exception?.packets ?? [] }

  // MARK: All that the fast path asks

  static let all = [
    SetKind(
      type: "hash:ip", match: "SET dst",
      elements: [
        ("10.20.0.1", [.to("10.20.0.1"), .tcp("10.20.0.1", 80)]), ("10.20.9.9", [.to("10.20.9.9")]),
      ], others: [.to("10.20.0.2"), .to("10.20.9.8")],
      why: "--dst 10.20.0.1 --proto icmp"),
    SetKind(
      type: "hash:net", match: "SET dst",
      elements: [
        ("10.30.0.0/16", [.to("10.30.0.1"), .to("10.30.255.255")]),
        ("10.31.0.4/30", [.to("10.31.0.4"), .to("10.31.0.7")]),
      ],
      exception: ("10.30.1.0/24", [.to("10.30.1.0"), .to("10.30.1.255")]),
      others: [.to("10.32.0.1"), .to("10.31.0.3"), .to("10.31.0.8")],
      why: "--dst 10.30.0.1"),
    SetKind(
      type: "hash:ip,port", match: "SET dst,dst",
      elements: [
        ("10.40.0.1,tcp:80", [.tcp("10.40.0.1", 80)]), ("10.40.0.1,53", [.tcp("10.40.0.1", 53)]),
        ("10.40.0.2,udp:53", [.udp("10.40.0.2", 53)]),
        ("10.40.0.3,icmp:8/0", [.icmp("10.40.0.3")]),
      ],
      others: [
        .udp("10.40.0.1", 80), .tcp("10.40.0.1", 81), .tcp("10.40.0.2", 80),
        .icmp("10.40.0.1"),
      ],
      why: "--dst 10.40.0.1 --proto tcp --dport 80"),
    SetKind(
      type: "hash:net,port", match: "SET dst,dst",
      elements: [
        ("10.50.0.0/16,udp:53", [.udp("10.50.0.1", 53), .udp("10.50.255.1", 53)]),
        ("10.51.0.0/24,tcp:80", [.tcp("10.51.0.9", 80)]),
      ],
      exception: ("10.50.9.0/24,udp:53", [.udp("10.50.9.1", 53)]),
      others: [.tcp("10.50.0.1", 53), .udp("10.51.0.9", 80), .udp("10.52.0.1", 53)],
      why: "--dst 10.50.0.1 --proto udp --dport 53"),
    SetKind(
      type: "bitmap:ip", options: "range 10.60.0.0/16", match: "SET dst",
      elements: [
        ("10.60.0.0", [.to("10.60.0.0")]), ("10.60.255.255", [.to("10.60.255.255")]),
      ], others: [.to("10.60.0.1"), .to("10.61.0.0"), .to("10.59.255.255")],
      why: "--dst 10.60.0.0"),
    SetKind(
      type: "bitmap:port", options: "range 0-1023", match: "-d 10.70.0.0/16 SET dst",
      elements: [
        ("53", [.udp("10.70.0.1", 53), .tcp("10.70.0.1", 53)]), ("1023", [.udp("10.70.0.1", 1023)]),
      ],
      others: [.udp("10.70.0.1", 54), .udp("10.70.0.1", 1024), .udp("10.71.0.1", 53)],
      why: "--dst 10.70.0.1 --proto tcp --dport 53"),
    SetKind(
      type: "list:set", match: "SET dst,dst",
      elements: [
        ("inner-ips", [.to("10.80.0.1")]), ("inner-nets", [.to("10.81.0.1")]),
        ("inner-pairs", [.tcp("10.82.0.1", 80)]),
      ], others: [.to("10.80.0.2"), .to("10.82.0.1"), .tcp("10.82.0.1", 81)],
      why: "--dst 10.81.0.1"),
  ]

  /// What lists consist of.
  static let inner = [
    "create inner-ips hash:ip", "create inner-nets hash:net", "create inner-pairs hash:ip,port",
    "add inner-ips 10.80.0.1", "add inner-nets 10.81.0.0/16", "add inner-pairs 10.82.0.1,tcp:80",
  ]
}
