// SPDX-License-Identifier: Apache-2.0
import Datapath
import Glibc
import Lab
import Testing

/// Programs are made of what nobody can change who could not change fpd.
@Suite struct SharedFilesTests {
  /// A prefix as it is installed, or a tree that fpd was built in.
  private final class Tree {
    let directory: TemporaryDirectory
    let share, executable: String

    init(isInstalled: Bool) throws {
      directory = try TemporaryDirectory()
      share = isInstalled ? "\(directory.path)/share/fpd" : directory.path
      let programs = "\(directory.path)/\(isInstalled ? "sbin" : ".build")"
      executable = "\(programs)/fpd"
      try Command.run(["mkdir", "-p", programs, "\(share)/fpm/live", "\(share)/templates"]).check()
      for file in [
        executable, "\(share)/fpm/tc.h", "\(share)/fpm/live/fib.h", "\(share)/templates/a.tmpl",
      ] { try TextFile.write(file, "text\n") }
      for place in ["", "/fpm", "/fpm/live", "/templates"] { chmod(share + place, 0o755) }
      for place in ["/fpm/tc.h", "/fpm/live/fib.h", "/templates/a.tmpl"] { set(place, 0o644) }
      chmod(executable, 0o755)
    }

    func set(_ place: String, _ mode: mode_t) { chmod(share + place, mode) }

    var complaint: String? {
      do {
        try SharedFiles.check(share, executable: executable, at: executable)
        return nil
      } catch { return "\(error)" }
    }
  }

  @Test(arguments: [true, false]) func whatIsRootsOrOursAloneIsUsed(_ isInstalled: Bool) throws {
    let tree = try Tree(isInstalled: isInstalled)
    #expect(tree.complaint == nil)
  }

  @Test(arguments: ["", "/fpm", "/fpm/live", "/fpm/live/fib.h", "/templates", "/templates/a.tmpl"])
  func whatOthersCanChangeIsNot(_ place: String) throws {
    let tree = try Tree(isInstalled: true)
    tree.set(place, 0o757)
    #expect(tree.complaint?.contains("\(tree.share)\(place) can be changed by everybody") == true)
    tree.set(place, 0o775)
    #expect(tree.complaint?.contains("\(tree.share)\(place) can be changed by group") == true)
    tree.set(place, 0o755)
    #expect(tree.complaint == nil)
  }

  /// Who may change the executable, or the tree that it was built in, may change the rest.
  @Test func whoMayChangeFpdMay() throws {
    let installed = try Tree(isInstalled: true)
    installed.set("/fpm/tc.h", 0o664)
    #expect(installed.complaint != nil)
    chmod(installed.executable, 0o775)
    #expect(installed.complaint == nil)
    let built = try Tree(isInstalled: false)
    built.set("/fpm/tc.h", 0o664)
    #expect(built.complaint != nil)
    built.set("", 0o775)
    #expect(built.complaint == nil)
    built.set("/fpm/tc.h", 0o666)
    #expect(built.complaint != nil)
    built.set("", 0o777)
    #expect(built.complaint == nil)
  }

  @Test func whatIsMissingIsTold() throws {
    let tree = try Tree(isInstalled: true)
    unlink("\(tree.share)/templates/a.tmpl")
    rmdir("\(tree.share)/templates")
    #expect(tree.complaint?.contains("\(tree.share)/templates") == true)
  }
}
