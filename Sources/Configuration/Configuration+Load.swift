// SPDX-License-Identifier: Apache-2.0
import Glibc

extension Configuration {
  /// What a file may measure; more is a mistake.
  private static let largestFile = 1 << 20

  /// Reads the file, if there is one, and lays the command line over it. A missing file is an error
  /// only when the command line names it.
  public static func load(_ options: DaemonOptions) throws(ConfigurationError) -> Configuration {
    let file = options.config ?? defaultFile
    var configuration = Configuration()
    if let text = try read(file, mayBeMissing: options.config == nil) {
      configuration = try parse(text, file: file)
    }
    configuration.apply(options)
    return configuration
  }

  /// The configuration a file's text describes.
  public static func parse(
    _ text: [UInt8], file: String
  ) throws(ConfigurationError) -> Configuration {
    let root: YAMLNode?
    do throws(YAMLParser.Failure) { root = try YAMLParser.parse(text) } catch {
      let problem = Problem(file: file, place: error.place, text: error.text)
      throw ConfigurationError(problems: [problem])
    }
    var reader = ConfigurationReader(file: file)
    if let root { reader.read(root) }
    if !reader.problems.isEmpty { throw ConfigurationError(problems: reader.problems) }
    return reader.configuration
  }

  private mutating func apply(_ options: DaemonOptions) {
    func lay<Value>(_ value: Value?, _ option: String, over place: inout Sourced<Value>) {
      if let value { place = Sourced(value, from: .option(option)) }
    }
    lay(options.socket, "--socket", over: &socket)
    lay(options.stateDirectory, "--state-dir", over: &stateDirectory)
    lay(options.cacheDirectory, "--cache-dir", over: &cacheDirectory)
    lay(options.logLevel, "--log-level", over: &logLevel)
    lay(options.shadow ? true : nil, "--shadow", over: &shadow)
  }

  private static func read(
    _ file: String, mayBeMissing: Bool
  ) throws(ConfigurationError) -> [UInt8]? {
    func failure(_ text: String) -> ConfigurationError {
      ConfigurationError(problems: [Problem(file: file, place: nil, text: text)])
    }
    // Non-blocking, or a FIFO would hold fpd up for ever.
    let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    if descriptor < 0 {
      if errno == ENOENT && mayBeMissing { return nil }
      throw failure("cannot be opened: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    var kind = stat()
    guard fstat(descriptor, &kind) == 0, [S_IFREG, S_IFCHR].contains(kind.st_mode & S_IFMT) else {
      throw failure("is no regular file")
    }
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count == 0 { return text }
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw failure("cannot be read: \(String(cString: strerror(errno)))") }
      text.append(contentsOf: chunk.prefix(count))
      if text.count > largestFile {
        throw failure("is larger than \(largestFile) bytes; is this fpd's configuration?")
      }
    }
  }
}
