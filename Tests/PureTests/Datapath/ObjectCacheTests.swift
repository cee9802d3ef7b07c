// SPDX-License-Identifier: Apache-2.0
import Datapath
import Foundation
import Testing

@Suite struct ObjectCacheTests {
  private let key = Array("source text".utf8)
  private let object = [UInt8](0...255)

  @Test func givesBackWhatWasStored() throws {
    try withDirectory { directory in
      let cache = ObjectCache(directory: directory)
      #expect(cache.load(key) == nil)
      try cache.store(object, for: key)
      #expect(cache.load(key) == object)
      #expect(cache.load(Array("another text".utf8)) == nil)
    }
  }

  @Test func everyTornFileIsNoFile() {
    let file = ObjectCache.pack(object, key)
    #expect(ObjectCache.unpack(file, key) == object)
    for length in 0..<file.count { #expect(ObjectCache.unpack(Array(file[..<length]), key) == nil) }
  }

  @Test func everyFlippedBitIsNoticed() {
    let file = ObjectCache.pack(object, key)
    for place in file.indices {
      var damaged = file
      damaged[place] ^= 0x10
      #expect(ObjectCache.unpack(damaged, key) == nil)
    }
  }

  @Test func aFileOfAnotherKeyUnderTheSameNameIsNotTaken() {
    let file = ObjectCache.pack(object, key)
    #expect(ObjectCache.unpack(file, Array("source texu".utf8)) == nil)
  }

  @Test func aFileThatOthersCouldHaveWrittenIsNotTaken() throws {
    try withDirectory { directory in
      let cache = ObjectCache(directory: directory)
      try cache.store(object, for: key)
      let name = try #require(FileManager.default.contentsOfDirectory(atPath: directory).first)
      let path = "\(directory)/\(name)"
      #expect(chmod(path, 0o664) == 0)
      #expect(cache.load(key) == nil)
      #expect(chmod(path, 0o644) == 0)
      #expect(cache.load(key) == object)
      if geteuid() == 0 {
        #expect(chown(path, 65534, 65534) == 0)
        #expect(cache.load(key) == nil)
        #expect(chown(path, 0, 0) == 0)
      }
      #expect(rename(path, "\(directory)/elsewhere") == 0)
      #expect(symlink("\(directory)/elsewhere", path) == 0)
      #expect(cache.load(key) == nil)
    }
  }

  @Test func storingWritesThroughNobodysLink() throws {
    try withDirectory { directory in
      let cache = ObjectCache(directory: directory)
      try cache.store(object, for: key)
      let name = try #require(FileManager.default.contentsOfDirectory(atPath: directory).first)
      let victim = "\(directory)/victim"
      #expect(symlink(victim, "\(directory)/\(name).\(getpid())") == 0)
      try cache.store(object, for: key)
      #expect(access(victim, F_OK) != 0)
      #expect(cache.load(key) == object)
    }
  }

  @Test func anUnwritableDirectoryIsAnErrorThatNamesIt() {
    let cache = ObjectCache(directory: "/proc/fpd-cache")
    #expect { try cache.store(object, for: key) } throws: { "\($0)".contains("/proc/fpd-cache") }
  }

  private func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("fpd-test-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: directory) }
    try body(directory.path)
  }
}

@Suite struct CompilerTests {
  @Test func aCompilerThatHangsIsEnded() throws {
    try withScript("exec /bin/cat /dev/zero >/dev/null") { path in
      let compiler = try #require(Compiler(configured: path, timeLimit: .seconds(1)))
      #expect { _ = try compiler.compile("/dev/null") } throws: { "\($0)".contains("longer than") }
    }
  }

  @Test func whatAFailingCompilerSaysIsInTheError() throws {
    try withScript("echo no such header >&2; exit 3") { path in
      let compiler = try #require(Compiler(configured: path))
      #expect { _ = try compiler.compile("/dev/null") } throws: {
        "\($0)".contains("no such header")
      }
    }
  }

  @Test(arguments: [("exit 3", "failed with status 3"), ("kill -9 $$", "was killed by signal 9")])
  func howACompilerEndedIsInTheError(_ script: String, _ words: String) throws {
    try withScript(script) { path in
      let compiler = try #require(Compiler(configured: path))
      #expect { _ = try compiler.compile("/dev/null") } throws: { "\($0)".contains(words) }
    }
  }

  @Test func aCompilerGivenByNameIsLookedUpOnThePath() throws {
    let compiler = try #require(Compiler(configured: "false"))
    #expect(compiler.path.hasSuffix("/false") && compiler.path.hasPrefix("/"))
    // It is started, and fails by itself.
    #expect { _ = try compiler.compile("/dev/null") } throws: { "\($0)".contains("clang failed") }
    #expect(Compiler(configured: "no-such-clang")?.path == "no-such-clang")
  }

  @Test func aCompilerThatIsNotThereIsNamed() throws {
    let compiler = try #require(Compiler(configured: "/nonexistent/clang"))
    #expect { _ = try compiler.compile("/dev/null") } throws: {
      "\($0)".contains("/nonexistent/clang")
    }
  }

  private func withScript(_ text: String, _ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("fpd-test-\(UUID().uuidString)").path
    defer { unlink(path) }
    // Written by a process of its own: what another test starts meanwhile would inherit our open
    // descriptor for a moment, and the script could not be executed ("text file busy").
    let write = ##"printf '#!/bin/sh\n%s\n' "$1" >"$2" && chmod 755 "$2""##
    #expect(try run("/bin/sh", ["-c", write, "sh", text, path]).code == 0)
    try body(path)
  }
}
