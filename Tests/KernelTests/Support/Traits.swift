// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab
import Testing

extension Trait where Self == ConditionTrait {
  /// Skips, with the reason, where namespaces cannot be made.
  static var asRoot: Self { .enabled("needs root, to make network namespaces") { geteuid() == 0 } }

  /// Skips where there is no fpd to test.
  static var needsFpd: Self {
    .enabled("needs \(Binaries.fpd): build it first") { access(Binaries.fpd, X_OK) == 0 }
  }
}

/// Has the test process fail at its end when something was left in the kernel or on disk.
struct LeavesNothing: SuiteTrait, TestScoping {
  func provideScope(
    for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void
  ) async throws {
    Leftovers.failOnExit()
    try await body()
  }
}

extension Trait where Self == LeavesNothing {
  static var leavesNothing: Self { LeavesNothing() }
}
