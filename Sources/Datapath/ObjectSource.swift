// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Where programs come from: the sources fpd ships, the compiler, and the cache of what it made.
package struct ObjectSource {
  private let share: String
  /// Why nothing is made of the sources.
  package let refusal: DatapathError?
  private let workshop: Workshop
  private let cache: ObjectCache

  /// What may be put right while fpd runs.
  private final class Workshop {
    var compiler: Compiler?
    var tally = BuildTally()
    /// Objects that the cache had no room for, by their keys, and why.
    var unkept: [[UInt8]: [UInt8]] = [:]
    var complaint: DatapathError?

    init(_ compiler: Compiler?) { self.compiler = compiler }
  }

  private static let unkeptMax = 32
  private var compiler: Compiler? { workshop.compiler }

  /// `share` is the directory that holds `fpm/`.
  package init(
    share: String, compiler: Compiler?, cache: ObjectCache, refusal: DatapathError? = nil
  ) {
    (self.share, self.refusal) = (share, refusal)
    workshop = Workshop(compiler)
    self.cache = cache
  }

  /// The directory with `fpm/` that belongs to the running binary: an installed one beside it, or the
  /// source tree it was built in.
  package static func locateShare() -> String? {
    guard var directory = SharedFiles.ownExecutable else { return nil }
    while let slash = directory.lastIndex(of: "/") {
      directory = String(directory[..<slash])
      for candidate in [directory + "/share/fpd", directory] {
        if access(candidate + "/fpm/live/view.bpf.c", R_OK) == 0 { return candidate }
      }
    }
    return nil
  }

  /// The object of a source below `fpm/`, from the cache or compiled now.
  package func object(_ name: String, with headers: [String]) throws(DatapathError) -> [UInt8] {
    if let refusal { throw refusal }
    let source = "\(share)/fpm/\(name)"
    var key = Array((compiler?.identity ?? "").utf8)
    for file in [name] + headers {
      guard let text = readFile("\(share)/fpm/\(file)") else {
        throw DatapathError("reading \(share)/fpm/\(file)", String(cString: strerror(errno)))
      }
      key += [0] + text
    }
    if let object = cached(key) { return object }
    do throws(DatapathError) {
      guard let compiler else { throw Self.noCompiler("compiling \(source)") }
      let object = try compiler.compile(source)
      try Loader.check(object, "compiling \(source)")
      workshop.tally.compilations += 1
      keep(object, key)
      return object
    } catch {
      noteFailure()
      throw error
    }
  }

  private func cached(_ key: [UInt8]) -> [UInt8]? {
    let object = cache.load(key)
    if object != nil { workshop.tally.cacheHits += 1 }
    return object
  }

  // MARK: Sources made at run time

  /// The kept object of a source, without compiling.
  package func object(forSource text: String, includes: Includes) -> [UInt8]? {
    cached(key(text, includes))
  }

  /// Starts compiling a source that is called `name` in messages.
  package func compilation(
    ofSource text: String, name: String, includes: Includes
  ) throws(DatapathError) -> Compilation {
    guard let compiler else { throw Self.noCompiler("compiling \(name)") }
    return try Compilation(of: text, name: name, includes: includes, by: compiler)
  }

  /// Keeps what a compilation made.
  package func keep(_ object: [UInt8], forSource text: String, includes: Includes) {
    workshop.tally.compilations += 1
    keep(object, key(text, includes))
  }

  // MARK: Counting

  /// What came of sources so far.
  package var tally: BuildTally { workshop.tally }

  /// A source could not be compiled.
  func noteFailure() { workshop.tally.failures += 1 }

  // MARK: What goes wrong

  /// Why objects are not kept, which costs the next start their compilation; `nil` while all are.
  package var cacheComplaint: DatapathError? { workshop.complaint }

  /// Looks for a compiler where there was none, and keeps what could not be kept.
  package func tryAgain() {
    if compiler == nil { workshop.compiler = Compiler(configured: nil) }
    let unkept = workshop.unkept
    (workshop.unkept, workshop.complaint) = ([:], nil)
    for (key, object) in unkept { keep(object, key) }
  }

  private func keep(_ object: [UInt8], _ key: [UInt8]) {
    do throws(DatapathError) { try cache.store(object, for: key) } catch {
      workshop.complaint = error
      if workshop.unkept.count < Self.unkeptMax { workshop.unkept[key] = object }
    }
  }

  /// How long a compilation may take.
  package var timeLimit: Duration { compiler?.timeLimit ?? .seconds(20) }

  private func key(_ text: String, _ includes: Includes) -> [UInt8] {
    Array("\(compiler?.identity ?? "")\0\(includes.identity)\0\(text)".utf8)
  }

  private static func noCompiler(_ attempt: String) -> DatapathError {
    DatapathError(
      attempt, "no clang on PATH; install clang, or name one in fpd.yaml (clang:)")
  }
}

/// How many programs were compiled, could not be, and need not be.
package struct BuildTally: Equatable, Sendable {
  package var compilations: UInt64 = 0
  package var failures: UInt64 = 0
  package var cacheHits: UInt64 = 0
}
