// SPDX-License-Identifier: Apache-2.0
import CBPF

/// What of ours stands on an interface, for telling it from what is somebody else's.
package struct OwnMark: Hashable, Sendable {
  package var interface: Int32
  package var hook: Hook
  /// The id of the entry program.
  package var program: UInt32
  /// By TCX rather than by a filter in clsact.
  package var isLink: Bool
}

extension Attachment {
  package var mark: OwnMark {
    switch grip {
    case .link(let link):
      var found = fpd_link()
      let known = fpd_link_read(link.raw, &found) == 0
      return OwnMark(
        interface: interface, hook: hook, program: known ? found.program : 0, isLink: true)
    case .filter(let program, _):
      var found = fpd_program()
      let known = fpd_program_read(program.raw, &found) == 0
      return OwnMark(
        interface: interface, hook: hook, program: known ? found.id : 0, isLink: false)
    }
  }
}

extension Deployment {
  /// What of ours stands on interfaces now, a predecessor's included.
  package var marks: [OwnMark] { attachments.map(\.mark) }
}
