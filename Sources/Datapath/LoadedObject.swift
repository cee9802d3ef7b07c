// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// A BPF object in the kernel: its programs and maps live as long as this value.
package struct LoadedObject: ~Copyable {
  let object: OpaquePointer

  package init(_ bytes: [UInt8], name: String) throws(DatapathError) {
    fpd_bpf_keep_log()
    _ = fpd_bpf_take_log()
    guard let opened = bytes.withUnsafeBytes({ fpd_bpf_open($0.baseAddress, $0.count, name) })
    else {
      throw Self.failure("opening the object \(name)")
    }
    if bpf_object__load(opened) != 0 {
      let failure = Self.failure("loading \(name) into the kernel")
      bpf_object__close(opened)
      throw failure
    }
    object = opened
  }

  deinit { bpf_object__close(object) }

  private static func failure(_ attempt: String) -> DatapathError {
    let answer = String(cString: strerror(errno))
    return DatapathError(attempt, answer, log: String(cString: fpd_bpf_take_log()))
  }

  /// The program of a name; the object's own source is at fault when there is none.
  func program(_ name: String) throws(DatapathError) -> OpaquePointer {
    guard let program = bpf_object__find_program_by_name(object, name) else {
      throw DatapathError("looking for the program \(name)", "the object has none of that name")
    }
    return program
  }

  func map(ending suffix: String) throws(DatapathError) -> Int32 {
    var map = bpf_object__next_map(object, nil)
    while let current = map {
      if let name = bpf_map__name(current), String(cString: name).hasSuffix(suffix) {
        return bpf_map__fd(current)
      }
      map = bpf_object__next_map(object, current)
    }
    throw DatapathError("looking for the map \(suffix)", "the object has none of that name")
  }

  /// The object's global variables, shared with the kernel.
  func globals<Area>(as type: Area.Type) throws(DatapathError) -> UnsafeMutablePointer<Area> {
    let descriptor = try map(ending: ".bss")
    let size = (MemoryLayout<Area>.size + 4095) & ~4095
    let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let memory, memory != MAP_FAILED else {
      throw DatapathError("mapping the globals of a program", String(cString: strerror(errno)))
    }
    return memory.bindMemory(to: Area.self, capacity: 1)
  }
}
