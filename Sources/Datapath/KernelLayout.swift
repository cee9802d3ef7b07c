// SPDX-License-Identifier: Apache-2.0
import Glibc

/// The structures that programs use as C text that fits the running kernel: a program compiled against
/// it needs no relocations when it is loaded.
///
/// For each structure S and each member M that was declared:
///
///     HAS_TYPE_S   1 when this kernel has S, else 0 (S is then left incomplete)
///     SIZE_S       in bytes; 0 when it is missing
///     TYPE_ID_S    its BTF id in the kernel; 0 when it is missing or a module has it
///     HAS_S_M      1 when this kernel has M, else 0 (and nothing below is there)
///     OFFSET_S_M   in bytes
///
/// For a bit-field there is no member, its value is `(*(UNIT *)(pointer + OFFSET) >> SHIFT) & MASK` with
/// `UNIT_S_M`, `SHIFT_S_M` and `MASK_S_M`. `KFUNC_F` is the BTF id of a function (1 for `KMODULE_F` says that it is
/// a module's), `KSYM_V` the address of a symbol, `ENUM_E` the number of an enumerator (-1: there is none),
/// `KERNEL_HZ` how often the kernel's clock ticks in a second; 0 when this kernel does not tell, has a member of
/// `struct net` or of another symbol's structure in its place, or has none of the members that were declared of
/// the symbol's structure.
package struct KernelLayout: Sendable {
  package let text: String
  /// Differs when the text does.
  package let identity: String
  /// Functions and types that reading the kernel's memory needs and this kernel does not have.
  package let missing: [String]
  /// What some programs need and this kernel does not have or tell.
  package let lacking: [String]
  /// Modules of which no structure is known, or not all functions: they are not loaded, or tell no types.
  package let absentModules: [String]
  /// Modules that something was asked of.
  package let modules: Set<String>
  /// The module whose functions programs may call.
  package let calledModule: String?

  package init(_ declarations: LayoutDeclarations, _ source: some TypeSource) throws(DatapathError)
  {
    let missing = Self.missing(declarations, source)
    self.missing = missing
    lacking =
      declarations.optionalFunctions.filter { source.function($0) == nil }
      + (source.ticksPerSecond == 0 ? ["the clock's ticks"] : [])
    var writer = LayoutWriter(source)
    do throws(DatapathError) { text = try writer.write(declarations) } catch {
      // Without these no program would load: how the rest fits does not matter.
      if missing.isEmpty { throw error }
      text = ""
    }
    identity = Digest(of: text.utf8).description
    let homes = declarations.functionModules
    let modules = Set(declarations.structures.flatMap(\.modules) + homes.values)
    self.modules = modules
    absentModules = modules.filter { module in
      homes.contains { $0.value == module && source.function($0.key) == nil }
        || !declarations.structures.contains {
          $0.modules.contains(module) && source.structure($0.name, module: module) != nil
        }
    }.sorted()
    calledModule = declarations.optionalFunctions.lazy.compactMap { source.module(of: $0) }.first
  }

  /// The type that memory is looked at as.
  private static let window = "linux_mib"

  private static func missing(
    _ declarations: LayoutDeclarations, _ source: some TypeSource
  ) -> [String] {
    let functions = declarations.functions.filter { source.function($0) == nil }
    let asked = declarations.structures.contains { $0.name == window }
    let hasWindow = !asked || source.structure(window, module: nil) != nil
    return functions + (hasWindow ? [] : ["struct \(window)"])
  }

  /// Which of a module's times of being loaded this is; `nil` when it is not there, or tells no types.
  package static func load(of module: String) -> UInt64? {
    var about = stat()
    return stat("/sys/kernel/btf/\(module)", &about) == 0 ? UInt64(about.st_ino) : nil
  }

  /// The layout for what `types`, the text of kernel/types.h, declares on the running kernel.
  package init(types: String) throws(DatapathError) {
    let declarations = try LayoutDeclarations(types)
    try self.init(declarations, KernelTypes(for: declarations))
  }
}
