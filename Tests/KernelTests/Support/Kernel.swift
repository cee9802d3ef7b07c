// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

/// The tests that need root and a kernel, one after the other: they measure reactions and look for what is
/// left behind. The process fails at its end when anything is.
@Suite(.serialized, .asRoot, .leavesNothing) enum Kernel {}
