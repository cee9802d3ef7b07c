// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// A descriptor of something in the kernel, closed with its last holder.
final class Handle {
  let raw: Int32

  init(owning raw: Int32) { self.raw = raw }

  /// The object pinned at a path; `nil` when there is none.
  init?(pinnedAt path: String) {
    raw = bpf_obj_get(path)
    if raw < 0 { return nil }
  }

  deinit { close(raw) }
}

/// A loaded program; it stays in the kernel as long as somebody holds this or has it attached.
package final class Program {
  let handle: Handle
  package let id: UInt32
  package let name: String
  /// After the verifier.
  package let instructions: Int

  init(_ handle: Handle) throws(DatapathError) {
    var found = fpd_program()
    if fpd_program_read(handle.raw, &found) != 0 {
      throw DatapathError("asking about a program", String(cString: strerror(errno)))
    }
    self.handle = handle
    id = found.id
    name = text(of: found.name)
    instructions = Int(found.instructions)
  }

  package var descriptor: Int32 { handle.raw }
}

/// The text in a fixed array of characters.
func text<Characters>(of characters: Characters) -> String {
  withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}

/// An answer below 0 in words.
func words(_ code: Int32) -> String { String(cString: strerror(-code)) }
