// SPDX-License-Identifier: Apache-2.0
import Control
import OrderedJSON
import Rendering
import Usage

enum Why: Subcommand {
  static let name = "why"
  static let summary = "run the deployed program on a packet and tell what happens to it"
  static let story = """
    Runs the program that is deployed on an interface on one packet, described by the
    options or taken from a capture, and tells what happens to it and at which step.
    Nothing is sent.
    """
  static let options = [
    Option(
      "--in", value: "INTERFACE", completion: .interface, "where the packet arrives (required)"),
    Option("--src", value: "ADDRESS", "source address"),
    Option("--dst", value: "ADDRESS", "destination address"),
    Option(
      "--proto", value: "PROTOCOL", completion: .words(["tcp", "udp", "icmp"]),
      "tcp, udp, icmp or a number"),
    Option("--sport", value: "PORT", "source port"),
    Option("--dport", value: "PORT", "destination port"),
    Option("--ttl", value: "TTL", "time to live"),
    Option("--smac", value: "MAC", "source MAC address"),
    Option("--dmac", value: "MAC", "destination MAC address (default: the interface's)"),
    Option("--pcap", value: "FILE", completion: .file, "take the packets of a capture instead"),
  ]

  static func run(_ call: Call) throws {
    let answer = try call.ask(.why, try packet(call.arguments))
    try call.show(answer) { outline($0, style: $1) }
  }

  /// What fpd is asked: numbers as numbers, and a capture's frames rather than its name, since fpd
  /// must not open files for whoever asks.
  private static func packet(_ arguments: Arguments) throws -> JSON.Object {
    guard let interface = arguments["--in"] else {
      throw UsageError("why needs --in INTERFACE: where does the packet arrive?")
    }
    var packet = JSON.Object([("in", .string(interface))])
    if let file = arguments["--pcap"] {
      let fields = options.map(\.name).filter { $0 != "--in" && $0 != "--pcap" }
      if let other = fields.first(where: arguments.has) {
        throw UsageError("--pcap takes the packets as they were captured; leave out \(other)")
      }
      packet["frames"] = .array(try Capture.frames(file).map(JSON.string))
      return packet
    }
    for name in ["src", "dst"] {
      packet[name] = try arguments["--\(name)"].map { try address($0, "--\(name)") }
    }
    packet["proto"] = try arguments["--proto"].map(protocolName)
    for (name, highest) in [("sport", 65535), ("dport", 65535), ("ttl", 255)] as [(String, Int64)] {
      packet[name] = try arguments["--\(name)"].map { try number($0, "--\(name)", highest) }
    }
    for name in ["smac", "dmac"] {
      packet[name] = try arguments["--\(name)"].map { try mac($0, "--\(name)") }
    }
    return packet
  }

  private static func number(
    _ text: String, _ option: String, _ highest: Int64
  ) throws(UsageError) -> JSON {
    guard let value = Int64(text), (0...highest).contains(value) else {
      throw UsageError("\(option) \(text): expected a number from 0 to \(highest)")
    }
    return .int(value)
  }

  private static func protocolName(_ text: String) throws(UsageError) -> JSON {
    let known = ["tcp", "udp", "icmp", "icmpv6", "sctp"]
    if known.contains(text) { return .string(text) }
    if let number = Int64(text), (0...255).contains(number) { return .int(number) }
    let close = suggestion(for: text, among: known)
    throw UsageError(
      "--proto \(text): expected \(known.joined(separator: ", ")) or a number from 0 to 255\(close)"
    )
  }

  private static func address(_ text: String, _ option: String) throws(UsageError) -> JSON {
    guard Address.isValid(text) else {
      throw UsageError("\(option) \(text): expected an IPv4 or IPv6 address, such as 192.0.2.1")
    }
    return .string(text)
  }

  private static func mac(_ text: String, _ option: String) throws(UsageError) -> JSON {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 6, parts.allSatisfy({ $0.count <= 2 && UInt8($0, radix: 16) != nil })
    else {
      throw UsageError("\(option) \(text): expected a MAC address, such as 02:00:00:00:00:01")
    }
    return .string(text)
  }
}
