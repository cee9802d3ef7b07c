// SPDX-License-Identifier: Apache-2.0

/// Places on hooks that nothing runs on any more: given up when there is time, since the kernel takes
/// tens of milliseconds for each.
final class Parting {
  /// Has something done when there is time.
  var later: (@escaping () -> Void) -> Void = { $0() }
  /// Has something done after what has happened meanwhile has been looked at.
  var soon: (@escaping () -> Void) -> Void = { $0() }

  private(set) var attachments: [Int32: [Attachment]] = [:]
  private let pins: Pins?
  private let patience: Duration
  private var isToGoOn = false

  init(_ pins: Pins?, patience: Duration) {
    self.pins = pins
    self.patience = patience
  }

  func add(_ attachment: Attachment) {
    attachments[attachment.interface, default: []].append(attachment)
    goOn(later)
  }

  /// Gives up those on one interface now, as something else is going to stand there.
  func part(from interface: Int32) {
    for attachment in attachments.removeValue(forKey: interface) ?? [] {
      attachment.detach()
      pins?.remove(attachment.interface, attachment.hook)
    }
  }

  /// Gives up all of them now; `each` hears how many are left.
  func partFromAll(each: (Int) -> Void) {
    for interface in attachments.keys.sorted() {
      each(attachments.count)
      part(from: interface)
    }
  }

  private func goOn(_ when: (@escaping () -> Void) -> Void) {
    if isToGoOn { return }
    isToGoOn = true
    when { [weak self] in
      guard let self else { return }
      isToGoOn = false
      partFromSome()
    }
  }

  /// As many as there is patience for, and at least one.
  private func partFromSome() {
    let end = ContinuousClock.now + patience
    for interface in attachments.keys.sorted() {
      part(from: interface)
      if ContinuousClock.now >= end { break }
    }
    if !attachments.isEmpty { goOn(soon) }
  }
}
