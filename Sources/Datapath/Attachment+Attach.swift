// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Why there is no place on a hook.
package struct AttachError: Error, CustomStringConvertible {
  package enum Reason: Hashable, Sendable {
    /// Somebody else's program stands there.
    case foreignProgram
    /// The driver cannot run XDP itself.
    case driverWithoutXDP
    /// The interface is gone.
    case noInterface
    /// Anything else, such as an MTU that is too large for XDP.
    case refused
  }

  package let reason: Reason
  package let cause: DatapathError

  init(_ reason: Reason, _ cause: DatapathError) {
    self.reason = reason
    self.cause = cause
  }

  package var description: String { cause.description }
}

extension Attachment {
  /// Puts the entry program on the hook and pins everything where pins are kept.
  static func attach(
    _ program: Program, _ interface: Int32, _ hook: Hook, _ slot: Handle, _ stats: Handle,
    _ preferClsact: Bool, _ pins: Pins?
  ) throws(AttachError) -> Grip {
    if hook == .tc, preferClsact || !hasTCX(program, interface) {
      return try attachFilter(program, interface, slot, stats, pins)
    }
    let index = UInt32(interface)
    let code =
      hook.isXDP
      ? fpd_xdp_link(program.descriptor, index, hook == .genericXDP)
      : fpd_tcx_link(program.descriptor, index)
    if code < 0 { throw failure(-code, interface, hook) }
    let link = Handle(owning: code)
    do throws(DatapathError) {
      try pins?.keep(.link(link), interface, hook, slot: slot, stats: stats)
    } catch {
      bpf_link_detach(link.raw)
      throw AttachError(.refused, error)
    }
    return .link(link)
  }

  /// Whether the kernel knows the hook at all: asked by a question it would refuse otherwise.
  private static func hasTCX(_ program: Program, _ interface: Int32) -> Bool {
    fpd_tcx_has(UInt32(interface), program.id) != -EINVAL
  }

  private static func attachFilter(
    _ program: Program, _ interface: Int32, _ slot: Handle, _ stats: Handle, _ pins: Pins?
  ) throws(AttachError) -> Grip {
    let index = UInt32(interface)
    let made = fpd_clsact_make(index)
    if made < 0 { throw failure(-made, interface, .tc) }
    let grip = Grip.filter(program.handle, ownsQdisc: made == 1)
    // Pinned first: a filter stays when its maker is killed, and a successor must know it for ours.
    do throws(DatapathError) {
      try pins?.keep(grip, interface, .tc, slot: slot, stats: stats)
    } catch {
      if made == 1 { fpd_clsact_remove(index) }
      throw AttachError(.refused, error)
    }
    let code = fpd_clsact_attach(index, program.descriptor)
    if code < 0 {
      pins?.remove(interface, .tc)
      if made == 1 { fpd_clsact_remove(index) }
      throw failure(-code, interface, .tc)
    }
    return grip
  }

  private static func failure(_ code: Int32, _ interface: Int32, _ hook: Hook) -> AttachError {
    var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
    let isGone = if_indextoname(UInt32(interface), &name) == nil
    let reason: AttachError.Reason =
      switch (code, hook) {
      case _ where isGone: .noInterface
      case (EBUSY, _), (EEXIST, _): .foreignProgram
      case (EOPNOTSUPP, .xdp): .driverWithoutXDP
      default: .refused
      }
    return AttachError(
      reason,
      DatapathError(
        "attaching to interface \(interface) (\(hook.rawValue))", String(cString: strerror(code))))
  }
}
