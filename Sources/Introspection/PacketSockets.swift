// SPDX-License-Identifier: Apache-2.0

/// Packet sockets of the network namespace, as /proc/net/packet lists them.
package enum PacketSockets {
  /// How many take every packet of every device (`tcpdump -i any`).
  package static func tapsOnAllDevices() -> UInt32 {
    guard case .success(let text) = ProcFile.read("/proc/thread-self/net/packet") else { return 0 }
    return tapsOnAllDevices(in: text)
  }

  /// The same of a text: lines of sk, references, type, protocol, device, running …
  package static func tapsOnAllDevices(in text: String) -> UInt32 {
    var count: UInt32 = 0
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ").prefix(6)
      if words.count == 6, words[3] == "0003", words[4] == "0", words[5] == "1" { count += 1 }
    }
    return count
  }
}
