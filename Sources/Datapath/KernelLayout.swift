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
/// `UNIT_S_M`, `SHIFT_S_M` and `MASK_S_M`. `KFUNC_F` is the BTF id of a function, `KSYM_V` the address of
/// a symbol; 0 when this kernel does not tell.
package struct KernelLayout: Sendable {
  package let text: String
  /// Differs when the text does.
  package let identity: String

  package init(_ declarations: LayoutDeclarations, _ source: some TypeSource) throws(DatapathError)
  {
    var writer = LayoutWriter(source)
    text = try writer.write(declarations)
    identity = Digest(of: text.utf8).description
  }

  /// The layout for what `types`, the text of kernel/types.h, declares on the running kernel.
  package init(types: String) throws(DatapathError) {
    let declarations = try LayoutDeclarations(types)
    try self.init(declarations, KernelTypes(for: declarations))
  }
}
