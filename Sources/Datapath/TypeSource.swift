// SPDX-License-Identifier: Apache-2.0

/// Who knows where this kernel keeps what.
package protocol TypeSource {
  /// A structure by name, in the kernel itself or else in `module`.
  func structure(_ name: String, module: String?) -> KernelStructure?
  /// What lies at a path below a structure, anonymous members passed over.
  func field(_ path: [String], of structure: KernelStructure) -> KernelField?
  /// Where a variable lies in the part that every processor has a copy of.
  func perProcessorOffset(_ name: String) -> UInt32?
  /// The BTF id of a function of the kernel itself, or of the module that was declared for it.
  func function(_ name: String) -> UInt32?
  /// The module that has the function, where the kernel itself has not.
  func module(of function: String) -> String?
  func symbol(_ name: String) -> UInt64?
  /// The number that an enumeration gives a name.
  func enumerator(_ name: String, of type: String) -> Int64?
  /// How often in a second the kernel's clock ticks.
  var ticksPerSecond: Int { get }
}

extension TypeSource {
  /// In the kernel itself, or else in the first of its modules that tells.
  func structure(_ declared: LayoutDeclarations.Structure) -> KernelStructure? {
    let modules: [String?] = declared.modules.isEmpty ? [nil] : declared.modules
    return modules.lazy.compactMap { structure(declared.name, module: $0) }.first
  }
}

package struct KernelStructure: Hashable, Sendable {
  /// As its BTF has it.
  package var id: UInt32
  package var size: Int
  package var module: String?

  package init(id: UInt32, size: Int, module: String? = nil) {
    self.id = id
    self.size = size
    self.module = module
  }
}

package struct KernelField: Hashable, Sendable {
  /// From the beginning of the structure.
  package var bitOffset: Int
  /// The width of a bit-field.
  package var bits: Int?
  /// In bytes; 0 for an array without a length.
  package var size: Int

  package init(bitOffset: Int, bits: Int? = nil, size: Int) {
    self.bitOffset = bitOffset
    self.bits = bits
    self.size = size
  }
}
