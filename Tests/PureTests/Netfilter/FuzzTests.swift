// SPDX-License-Identifier: Apache-2.0
import Foundation
import Lab
import Testing

/// Runs fpfuzz as a program: what makes a parser trap ends it and not the tests.
@Suite struct FuzzTests {
  private func fuzz(_ arguments: [String]) throws -> Completed {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let program = URL(fileURLWithPath: tests).deletingLastPathComponent().path + "/fpfuzz"
    return try Command.run([program] + arguments, timeout: .seconds(120))
  }

  @Test func parsersSurviveTenThousandValidAndTenThousandMutatedBlobs() throws {
    let run = try fuzz([
      "--seed", "1", "--count", "10000", "--corpus", try RecordedBlobs.directory,
    ])
    #expect(run.succeeded, "\(run.output) \(run.errors)")
    #expect(run.output.contains("blobs through"))
  }

  @Test func everyKeptBlobIsParsed() throws {
    let run = try fuzz(["--count", "0", "--corpus", try RecordedBlobs.directory])
    let kept = try FileManager.default.contentsOfDirectory(atPath: try RecordedBlobs.directory)
      .filter { $0.hasSuffix(".hex") }
      .reduce(0) { try $0 + RecordedBlobs.of(String($1.dropLast(4))).count }
    #expect(kept > 300)
    #expect(run.output.hasPrefix("\(kept) blobs"), "\(run.output) \(run.errors)")
  }

  @Test func theSameSeedMakesTheSameBlobs() throws {
    let first = try fuzz(["--seed", "7", "--show", "11"])
    #expect(first.output == (try fuzz(["--seed", "7", "--show", "11"])).output)
    #expect(first.output != (try fuzz(["--seed", "8", "--show", "11"])).output)
    #expect(first.output != (try fuzz(["--seed", "7", "--show", "10"])).output)
  }

  @Test func wrongArgumentsAreToldApart() throws {
    #expect(try fuzz(["--count", "many"]).status != 0)
    #expect(try fuzz(["--corpus", "/nowhere"]).status != 0)
  }
}
