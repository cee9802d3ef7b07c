// SPDX-License-Identifier: Apache-2.0
import Foundation
import OrderedJSON
import Testing

/// What is shipped for fleets is YAML, and the tests beside read it as those do whom it is for.
@Suite struct YAMLTextTests {
  static let files =
    YAMLText.files(below: "packaging/kubernetes") + YAMLText.files(below: "packaging/ansible")

  @Test func thereAreSome() { #expect(Self.files.count >= 14) }

  @Test(arguments: files) func everyFileIsYAMLAndSaysWhoseItIs(_ path: String) throws {
    let text = try String(contentsOfFile: "\(repository)/\(path)", encoding: .utf8)
    #expect(try !YAMLText.documents(text).isEmpty)
    // What fpd itself reads is a user's.
    let isConfiguration = path.hasSuffix("/fpd.yaml")
    #expect(isConfiguration || text.hasPrefix("# SPDX-License-Identifier: Apache-2.0\n"))
    #expect(text.hasSuffix("\n") && !text.contains("\t"))
    #expect(text.split(separator: "\n").allSatisfy { $0.count <= 120 }, "lines of 120 characters")
  }

  @Test func documentsListsAndValuesAreRead() throws {
    let read = try YAMLText.documents("a: [1, off, \"off\", ~]\n---\n- b: {c: d}\n---\n")
    #expect(read == [["a": [1, false, "off", nil]], [["b": ["c": "d"]]], .null])
  }

  @Test(arguments: ["a: 1\na: 2", "a: [", "a: b: c", "\ta: 1", "? [a]\n: b"])
  func whatIsAmissIsRefused(_ text: String) {
    #expect(throws: YAMLText.Problem.self) { try YAMLText.documents(text) }
  }
}
