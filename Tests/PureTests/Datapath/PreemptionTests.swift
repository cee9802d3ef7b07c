// SPDX-License-Identifier: Apache-2.0
import Datapath
import Testing

/// Which kernels let one packet's program interrupt another's.
@Suite struct PreemptionTests {
  @Test(arguments: [
    ("6.12.48+deb13-rt-amd64", "#1 SMP PREEMPT_RT Debian 6.12.48-1", false),
    ("6.12.48+deb13-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1", false),
    ("6.18.0", "#1 SMP PREEMPT_DYNAMIC Mon", false),
    ("6.18-rc1", "#1 SMP PREEMPT_RT Mon", true),
    ("6.18.0-rt", "#1 SMP PREEMPT_RT Mon", true),
    ("7.0.1", "#1 SMP PREEMPT_RT Mon", true),
    ("what", "#1 PREEMPT_RT", true),
  ]) func onlyNewOnesForRealTime(_ release: String, _ version: String, _ isPossible: Bool) {
    #expect(Preemption.isPossible(release: release, version: version) == isPossible)
  }
}
