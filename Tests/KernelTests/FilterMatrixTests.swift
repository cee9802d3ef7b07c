// SPDX-License-Identifier: Apache-2.0
import Lab
import Testing

extension Kernel {
  /// Every match and target of docs/rules.md: the fast path does what the kernel does, itself where the page
  /// says that it is fast.
  @Suite(.needsFpd) struct FilterMatrixTests {
    @Test(arguments: MatrixTool.allCases) func judgesAsLinuxDoes(_ tool: MatrixTool) throws {
      try MatrixRunner(tool).run()
    }
  }
}
