// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Where programs come from: the sources fpd ships, the compiler, and the cache of what it made.
package struct ObjectSource: Sendable {
  private let share: String
  private let compiler: Compiler?
  private let cache: ObjectCache

  /// `share` is the directory that holds `fpm/`.
  package init(share: String, compiler: Compiler?, cache: ObjectCache) {
    self.share = share
    self.compiler = compiler
    self.cache = cache
  }

  /// The directory with `fpm/` that belongs to the running binary: an installed one beside it, or the
  /// source tree it was built in.
  package static func locateShare() -> String? {
    var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
    let count = buffer.withUnsafeMutableBytes { raw -> Int in
      guard let start = raw.baseAddress else { return -1 }
      return readlink("/proc/self/exe", start.assumingMemoryBound(to: CChar.self), raw.count)
    }
    guard count > 0 else { return nil }
    var directory = String(decoding: buffer[..<count], as: UTF8.self)
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
    let source = "\(share)/fpm/\(name)"
    var key = Array((compiler?.identity ?? "").utf8)
    for file in [name] + headers {
      guard let text = readFile("\(share)/fpm/\(file)") else {
        throw DatapathError("reading \(share)/fpm/\(file)", String(cString: strerror(errno)))
      }
      key += [0] + text
    }
    if let object = cache.load(key) { return object }
    guard let compiler else {
      throw DatapathError(
        "compiling \(source)", "no clang on PATH; install clang, or name one in fpd.yaml (clang:)")
    }
    let object = try compiler.compile(source)
    try? cache.store(object, for: key)
    return object
  }
}
