// SPDX-License-Identifier: Apache-2.0
import CLoad
import Glibc

/// One program of `bench/`, for XDP or TCX, compiled on the spot and loaded; on a device from `attach` on, until
/// nobody holds it any more.
public final class LoadProgram {
  let name: String
  let object: OpaquePointer

  /// `bench/`, or what FPD_BENCH names.
  public static var directory: String {
    getenv("FPD_BENCH").map { String(cString: $0) } ?? "bench"
  }

  private static let objects = Result { try TemporaryDirectory("bench", lasting: true) }

  /// Compiles and opens `bench/<name>.bpf.c`; `prepare` sets what is set before loading.
  init(_ name: String, _ prepare: (LoadProgram) throws -> Void = { _ in }) throws {
    let path = try Self.compile(name)
    guard let object = load_open(path) else {
      throw LabError("opening \(path)", code: errno, hint: String(cString: load_log()))
    }
    self.name = name
    self.object = object
    try prepare(self)
    let code = load_load(object)
    if code != 0 {
      throw LabError("loading \(name)", code: code, hint: String(cString: load_log()))
    }
  }

  /// A program whose only constant is a number, such as an interface's index.
  public convenience init(_ name: String, constant: UInt32? = nil) throws {
    try self.init(name) { program in
      if let constant { try program.set(constant: constant) }
    }
  }

  deinit { load_close(object) }

  /// Puts it on a device, in place of none.
  @discardableResult public func attach(
    to device: String, in namespace: Namespace
  ) throws -> LoadProgram {
    let index = try namespace.ifindex(of: device)
    let code = try namespace.inside { load_attach(object, index) }
    if code != 0 {
      throw LabError("attaching \(name) to \(device) in \(namespace.name)", code: code)
    }
    return self
  }

  /// Has the kernel run it again and again on a packet that goes nowhere: what one run takes of a CPU, in
  /// nanoseconds, and what it answers.
  public func repeated(
    _ times: Int, on frame: [UInt8]
  ) throws -> (nanoseconds: Double, answer: UInt32) {
    var (frame, answer) = (frame, UInt32(0))
    let (code, busy) = CPUClock.timed {
      load_repeat(object, &frame, UInt32(frame.count), UInt32(times), &answer)
    }
    if code != 0 { throw LabError("running \(name)", code: code) }
    return (Double(busy.nanoseconds) / Double(times), answer)
  }

  func set<Value>(constant: Value) throws {
    let code = withUnsafeBytes(of: constant) {
      load_set_constant(object, $0.baseAddress, $0.count)
    }
    if code != 0 { throw LabError("setting what \(name) is told", code: code) }
  }

  func set(entries: Int, of map: String) throws {
    let code = load_set_entries(object, map, UInt32(clamping: max(1, entries)))
    if code != 0 { throw LabError("sizing \(map) of \(name)", code: code) }
  }

  func share(_ map: String, of owner: LoadProgram) throws {
    let code = load_share_map(object, map, owner.object)
    if code != 0 { throw LabError("sharing \(map) of \(owner.name) with \(name)", code: code) }
  }

  /// The values of a map, as the kernel has them; they live as long as the program is held.
  func values<Value>(of map: String, as type: Value.Type) throws -> UnsafeMutableBufferPointer<
    Value
  > {
    var size = 0
    guard let address = load_values(object, map, &size) else {
      throw LabError("mapping \(map) of \(name)", code: errno)
    }
    let count = size / MemoryLayout<Value>.stride
    return UnsafeMutableBufferPointer(
      start: address.bindMemory(to: type, capacity: count), count: count)
  }

  private static func compile(_ name: String) throws -> String {
    let object = try "\(objects.get().path)/\(name).o"
    if access(object, R_OK) == 0 { return object }
    let source = "\(directory)/\(name).bpf.c"
    guard access(source, R_OK) == 0 else {
      throw LabError("\(source) is not there: run this in the source tree, or name it in FPD_BENCH")
    }
    let flags = ["-target", "bpf", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
    try Command.run(["clang"] + flags + ["-c", source, "-o", object]).check()
    return object
  }
}
