// SPDX-License-Identifier: Apache-2.0
import Datapath
import Foundation
import Testing

@Suite struct CompilationTests {
  private let object = Array("an object".utf8)

  @Test func theObjectIsWhatTheCompilerWrites() throws {
    try withCompiler("cat; echo \"$@\"") { compiler, includes in
      let compilation = try Compilation(
        of: "int x;\n", name: "eth0.c", includes: includes, by: compiler)
      #expect(ended(compilation))
      let text = String(decoding: try compilation.finish(), as: UTF8.self)
      #expect(text.hasPrefix("#line 1 \"eth0.c\"\nint x;\n"))
      #expect(text.contains("-target bpf -mcpu=v3 -O2 -g"))
      #expect(text.contains("-I \(includes.directories[0]) "))
    }
  }

  @Test func theCompilersWordsAreInTheError() throws {
    try withCompiler("echo no such header >&2; exit 3") { compiler, includes in
      let compilation = try Compilation(of: "", name: "eth0.c", includes: includes, by: compiler)
      #expect {
        _ = try compilation.finish()
      } throws: {
        "\($0)".contains("no such header") && "\($0)".contains("eth0.c")
      }
    }
  }

  @Test func aCompilerThatLeavesNothingIsAnError() throws {
    try withCompiler("exit 0") { compiler, includes in
      let compilation = try Compilation(of: "", name: "eth0.c", includes: includes, by: compiler)
      #expect { _ = try compilation.finish() } throws: { "\($0)".contains("left no object") }
    }
  }

  @Test func aCancelledCompilerIsGoneWithItsChildren() throws {
    try withCompiler("cat /dev/zero >/dev/null & cat /dev/zero >/dev/null") { compiler, includes in
      let compilation = try Compilation(of: "", name: "eth0.c", includes: includes, by: compiler)
      #expect(!ended(compilation, within: 0))
      compilation.cancel()
      #expect(ended(compilation))
      #expect { _ = try compilation.finish() } throws: { "\($0)".contains("ended before") }
    }
  }

  @Test func aCompilerThatIsNotThereIsNamed() throws {
    try withCompiler("") { _, includes in
      let compiler = try #require(Compiler(configured: "/nonexistent/clang"))
      #expect {
        _ = try Compilation(of: "", name: "eth0.c", includes: includes, by: compiler)
      } throws: {
        "\($0)".contains("/nonexistent/clang")
      }
    }
  }

  @Test func anObjectIsFoundByTextHeadersAndCompiler() throws {
    try withCompiler("cat") { compiler, includes in
      let directory = includes.directories[0]
      let cache = ObjectCache(directory: "\(directory)/cache")
      let source = ObjectSource(share: directory, compiler: compiler, cache: cache)
      #expect(source.object(forSource: "a", includes: includes) == nil)
      source.keep(object, forSource: "a", includes: includes)
      #expect(source.object(forSource: "a", includes: includes) == object)
      #expect(source.object(forSource: "b", includes: includes) == nil)
      try Data("#define DEEP 2\n".utf8).write(to: URL(filePath: "\(directory)/kernel/deep.h"))
      let changed = try Includes([directory])
      #expect(changed.identity != includes.identity)
      #expect(source.object(forSource: "a", includes: changed) == nil)
      let other = ObjectSource(
        share: directory, compiler: Compiler(configured: "/bin/true"), cache: cache)
      #expect(other.object(forSource: "a", includes: includes) == nil)
    }
  }

  @Test func includesThatAreNotThereAreAnError() {
    #expect { _ = try Includes(["/nonexistent/fpm"]) } throws: { "\($0)".contains("/nonexistent") }
  }

  private func ended(_ compilation: Compilation, within milliseconds: Int32 = 5000) -> Bool {
    var waiting = pollfd(fd: compilation.descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&waiting, 1, milliseconds) == 1
  }

  /// A shell script in the compiler's place, and a directory of headers.
  private func withCompiler(_ script: String, _ body: (Compiler, Includes) throws -> Void) throws {
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("fpd-test-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(
      atPath: "\(directory)/kernel", withIntermediateDirectories: true)
    try Data("#define DEEP 1\n".utf8).write(to: URL(filePath: "\(directory)/kernel/deep.h"))
    // Written by a process of its own: what another test starts meanwhile would inherit our open
    // descriptor for a moment, and the script could not be executed ("text file busy").
    let write = Process()
    write.executableURL = URL(filePath: "/bin/sh")
    write.arguments = [
      "-c", ##"printf '#!/bin/sh\n%s\n' "$1" >"$2" && chmod 755 "$2""##, "sh", script,
      "\(directory)/clang",
    ]
    try write.run()
    write.waitUntilExit()
    #expect(write.terminationStatus == 0)
    try body(try #require(Compiler(configured: "\(directory)/clang")), try Includes([directory]))
  }
}
