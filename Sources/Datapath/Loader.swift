// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Brings compiled objects into the kernel.
enum Loader {
  /// Loads the one program `name`; the maps named in `maps` are taken instead of made, and `config` is
  /// written to the beginning of the constant of that name.
  static func load(
    _ bytes: [UInt8], program name: String, maps: [String: Int32], config: [UInt8] = []
  ) throws(DatapathError) -> Program {
    fpd_bpf_keep_log()
    _ = fpd_bpf_take_log()
    guard let object = bytes.withUnsafeBytes({ fpd_bpf_open($0.baseAddress, $0.count, name) })
    else {
      throw failure("opening the object of \(name)", errno)
    }
    defer { bpf_object__close(object) }
    var wanted: OpaquePointer?
    var program = bpf_object__next_program(object, nil)
    while let current = program {
      let isWanted = bpf_program__name(current).map { String(cString: $0) } == name
      bpf_program__set_autoload(current, isWanted)
      if isWanted { wanted = current }
      program = bpf_object__next_program(object, current)
    }
    guard let wanted else {
      throw DatapathError("looking for the program \(name)", "the object has none of that name")
    }
    for (map, descriptor) in maps { try reuse(descriptor, as: map, in: object) }
    if !config.isEmpty { try set(config, in: object, name) }
    let code = bpf_object__load(object)
    if code != 0 { throw failure("loading \(name) into the kernel", -code) }
    // The object closes its own descriptor with itself.
    let kept = fcntl(bpf_program__fd(wanted), F_DUPFD_CLOEXEC, 3)
    if kept < 0 { throw failure("keeping \(name)", errno) }
    return try Program(Handle(owning: kept))
  }

  /// Refuses what is no whole object.
  static func check(_ bytes: [UInt8], _ attempt: String) throws(DatapathError) {
    fpd_bpf_keep_log()
    _ = fpd_bpf_take_log()
    guard let object = bytes.withUnsafeBytes({ fpd_bpf_open($0.baseAddress, $0.count, "check") })
    else {
      throw DatapathError(
        attempt, "clang said it succeeded and left no whole object",
        log: String(cString: fpd_bpf_take_log()))
    }
    bpf_object__close(object)
  }

  /// Has libbpf ask the kernel now what it would ask at the first loading: some ten milliseconds.
  static func warmUp(_ entry: [UInt8]) throws(DatapathError) {
    let slot = try makeMap(BPF_MAP_TYPE_PROG_ARRAY, "fpd_slot", valueSize: 4, entries: 1)
    _ = try load(entry, program: Hook.xdp.entryName, maps: ["fpd_slot": slot.raw])
  }

  static func makeMap(
    _ type: bpf_map_type, _ name: String, valueSize: UInt32, entries: UInt32
  ) throws(DatapathError) -> Handle {
    let descriptor = fpd_map_create(type, name, valueSize, entries)
    if descriptor < 0 { throw DatapathError("making the map \(name)", words(descriptor)) }
    return Handle(owning: descriptor)
  }

  private static func reuse(
    _ descriptor: Int32, as name: String, in object: OpaquePointer
  ) throws(DatapathError) {
    // A program may do without.
    guard let map = bpf_object__find_map_by_name(object, name) else { return }
    var own = fpd_map()
    // An array of slots is as large as whoever made it wanted.
    if name == "fpd_slot", fpd_map_read(descriptor, &own) == 0 {
      bpf_map__set_max_entries(map, own.entries)
    }
    guard fpd_map_read(descriptor, &own) == 0, bpf_map__type(map).rawValue == own.type,
      bpf_map__value_size(map) == own.value_size, bpf_map__max_entries(map) == own.entries
    else {
      throw DatapathError("giving a program the map \(name)", "it declares another kind of map")
    }
    let code = bpf_map__reuse_fd(map, descriptor)
    if code != 0 { throw failure("giving a program the map \(name)", -code) }
  }

  private static func set(
    _ config: [UInt8], in object: OpaquePointer, _ name: String
  ) throws(DatapathError) {
    var room = 0
    guard let constant = fpd_bpf_constant(object, "config", &room) else {
      throw DatapathError("configuring \(name)", "the object has no constant named config")
    }
    guard config.count <= room else {
      throw DatapathError(
        "configuring \(name)", "its config has \(room) bytes, \(config.count) are to be written")
    }
    UnsafeMutableRawBufferPointer(start: constant, count: room).copyBytes(from: config)
  }

  private static func failure(_ attempt: String, _ code: Int32) -> DatapathError {
    let answer = String(cString: strerror(code))
    return DatapathError(attempt, answer, log: String(cString: fpd_bpf_take_log()))
  }
}
