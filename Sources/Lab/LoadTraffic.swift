// SPDX-License-Identifier: Apache-2.0
import CLoad

/// What the generator sends: UDP over IPv4, a sequence number in every frame. Flow f has the source
/// address `source + f % sources`, the destination `destination + f % destinations * step`, and so with
/// MAC addresses; flows take turns.
public struct LoadTraffic: Sendable {
  public var destinationMAC: MAC
  public var destinationMACs = 1
  public var sourceMAC: MAC
  public var sourceMACs = 1
  public var source: IPv4Address
  public var sources = 1
  public var destination: IPv4Address
  public var destinations = 1
  /// Between two destination addresses: 256 for one in each /24.
  public var step = 1
  public var flows = 1
  /// Of a frame, without the checksum hardware appends: 60 is the shortest on a cable ("64 bytes").
  public var length = 60
  /// The UDP port the sink takes for the generator's.
  public var port: UInt16 = 9

  public init(
    from sourceMAC: MAC, _ source: IPv4Address, to destinationMAC: MAC, _ destination: IPv4Address,
    _ adjust: (inout LoadTraffic) -> Void = { _ in }
  ) {
    self.sourceMAC = sourceMAC
    self.source = source
    self.destinationMAC = destinationMAC
    self.destination = destination
    adjust(&self)
  }

  func settings(egress: UInt32) throws -> load_traffic {
    let lengths = LOAD_SHORTEST...LOAD_LONGEST
    guard lengths.contains(length) else {
      throw LabError("frames of \(length) bytes: the generator makes \(lengths)")
    }
    let counts = [destinationMACs, sourceMACs, sources, destinations, flows]
    guard counts.allSatisfy({ (1...1 << 24).contains($0) }) else {
      throw LabError("traffic with counts \(counts): each must be from 1 to \(1 << 24)")
    }
    var settings = load_traffic()
    withUnsafeMutableBytes(of: &settings.destination) { $0.copyBytes(from: destinationMAC.bytes) }
    withUnsafeMutableBytes(of: &settings.source) { $0.copyBytes(from: sourceMAC.bytes) }
    settings.destinations = UInt32(destinationMACs)
    settings.sources = UInt32(sourceMACs)
    settings.source_address = source.value
    settings.source_addresses = UInt32(sources)
    settings.destination_address = destination.value
    settings.destination_addresses = UInt32(destinations)
    settings.destination_step = UInt32(truncatingIfNeeded: step)
    settings.flows = UInt32(flows)
    settings.length = UInt32(length)
    settings.port = UInt32(port)
    settings.egress = egress
    return settings
  }
}
