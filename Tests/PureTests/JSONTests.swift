// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Testing

@Suite struct JSONTests {
  @Test func keepsTheOrderOfKeys() throws {
    let text = #"{"b":1,"a":[true,null,-2.5,"x\n\u00e9"],"c":{}}"#
    #expect(try JSON(parsing: text).text() == #"{"b":1,"a":[true,null,-2.5,"x\né"],"c":{}}"#)
  }

  @Test(arguments: ["", "{", "[1,]", "{\"a\"}", "\"x", "tru", "1 2", "\"\\ud800\"", "nul", "[1}"])
  func refusesWhatIsNotJSON(_ text: String) {
    #expect(throws: JSON.ParseError.self) { try JSON(parsing: text) }
  }

  @Test func refusesBottomlessNesting() {
    #expect(throws: JSON.ParseError.self) {
      try JSON(parsing: String(repeating: "[", count: 100_000))
    }
  }
}
