// SPDX-License-Identifier: Apache-2.0
import Testing
import Topology

/// What is written about the fast path, against its reasons.
@Suite struct FastPathDocumentTests {
  @Test func everyCountedReasonBelongsToARowOfTheContract() throws {
    let document = try Golden.projectFile("docs/fast-path.md")
    for reason in Reason.counted {
      #expect(document.contains("`\(reason.rawValue)`"), "\(reason.rawValue)")
    }
  }

  @Test func everyCountedReasonIsFoundAtAStepThatTheProtocolNames() throws {
    let document = try Golden.projectFile("docs/control-protocol.md")
    for reason in Reason.counted {
      #expect(document.contains("`\(reason.step)`"), "\(reason.rawValue): \(reason.step)")
    }
  }
}
