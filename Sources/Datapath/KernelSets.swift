// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Finds where the kernel keeps the ipsets of the namespace it is asked in, by `fpm/live/sets.bpf.c`.
package final class KernelSets {
  /// A set as netlink tells of it.
  package struct Known: Equatable, Sendable {
    package var index: UInt16
    package var name: String
    package var type: String

    package init(index: UInt16, name: String, type: String) {
      (self.index, self.name, self.type) = (index, name, type)
    }
  }

  private let object: LoadedObject
  private let area: UnsafeMutablePointer<sets_area>
  private let program: Int32

  package init(_ source: ObjectSource) throws(DatapathError) {
    let bytes = try source.object(
      "live/sets.bpf.c", with: ["live/sets.h", "kernel/helpers.h", "kernel/numbers.h"])
    let loaded = try LoadedObject(bytes, name: "fpd_sets")
    area = try loaded.globals(as: sets_area.self)
    program = bpf_program__fd(try loaded.program("fpd_sets"))
    object = loaded
  }

  deinit { munmap(area, (MemoryLayout<sets_area>.size + 4095) & ~4095) }

  /// The address to be given to `Classifier.image`; `nil` when none of the sets is found where netlink says,
  /// because they have changed since or because this kernel's ipset is another one. It stays the same as
  /// long as there are rules about sets.
  package func address(holding sets: [Known]) throws(DatapathError) -> UInt64? {
    for set in sets {
      if let found = try address(holding: set) { return found }
    }
    return nil
  }

  private func address(holding set: Known) throws(DatapathError) -> UInt64? {
    area.pointee.index = UInt32(set.index)
    guard Self.write(set.name, to: &area.pointee.name),
      Self.write(set.type, to: &area.pointee.type)
    else { return nil }
    if fpd_bpf_run(program) != 0 {
      throw DatapathError("running the program fpd_sets", String(cString: strerror(errno)))
    }
    // Two that fit would be a riddle.
    return area.pointee.found == 1 ? area.pointee.address : nil
  }

  private static func write<Field>(_ word: String, to field: inout Field) -> Bool {
    withUnsafeMutableBytes(of: &field) { bytes in
      guard word.utf8.count < bytes.count else { return false }
      for place in bytes.indices { bytes[place] = 0 }
      for (place, byte) in word.utf8.enumerated() { bytes[place] = byte }
      return true
    }
  }
}
