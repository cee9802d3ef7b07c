// SPDX-License-Identifier: Apache-2.0
import Introspection
import Testing

@Suite struct PacketSocketTests {
  @Test func onlySocketsOnAllDevicesForAllProtocolsAreTapsEverywhere() {
    let text = """
      sk               RefCnt Type Proto  Iface R Rmem   User   Inode
      ffff8881070d8000 3      3    0003   0     1 0      0      6110
      ffff8881070d8800 3      3    0003   2     1 0      0      6111
      ffff8881070d9000 3      3    88cc   0     1 0      0      6112
      ffff8881070d9800 3      2    0003   0     0 0      0      6113
      ffff8881070da000 3      2    0003   0     1 512    101    6114

      """
    #expect(PacketSockets.tapsOnAllDevices(in: text) == 2)
    #expect(PacketSockets.tapsOnAllDevices(in: "") == 0)
  }
}
