// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc

/// Who is at the other end of a connection, as the kernel saw it when the connection was made.
public struct Peer: Sendable, Equatable {
  public let pid: Int32
  public let user: UInt32
  /// The primary group and all supplementary ones.
  public let groups: Set<UInt32>

  public init(pid: Int32, user: UInt32, groups: Set<UInt32>) {
    self.pid = pid
    self.user = user
    self.groups = groups
  }

  public var isRoot: Bool { user == 0 }

  /// Nil when the socket has no peer the kernel can name.
  init?(of descriptor: Int32) {
    var seen = fpd_peer()
    guard fpd_peer_of(descriptor, &seen) == 0 else { return nil }
    self.init(
      pid: seen.pid, user: seen.uid,
      groups: Set(Self.supplementaryGroups(of: descriptor)).union([seen.gid]))
  }

  /// The kernel's own list (SO_PEERGROUPS) rather than getgrouplist(): it is what the peer really
  /// holds, and asking it can never block the event loop on a directory server.
  private static func supplementaryGroups(of descriptor: Int32) -> [UInt32] {
    let option: Int32 = 59  // SO_PEERGROUPS
    var size: socklen_t = 0
    getsockopt(descriptor, SOL_SOCKET, option, nil, &size)
    var groups = [gid_t](repeating: 0, count: Int(size) / MemoryLayout<gid_t>.size)
    guard !groups.isEmpty, getsockopt(descriptor, SOL_SOCKET, option, &groups, &size) == 0 else {
      return []
    }
    return groups
  }
}

/// Who may do what: root everything, members of one group read.
public struct Access: Sendable, Equatable {
  /// The number of the group that may read, when one is configured.
  public let readers: UInt32?

  public init(readers: UInt32? = nil) { self.readers = readers }

  /// Looks the configured group up by name, or takes it as a number.
  public init(group name: String?) throws(ControlError) {
    guard let name else {
      self.init()
      return
    }
    if let number = UInt32(name) {
      self.init(readers: number)
      return
    }
    var entry = group()
    var found: UnsafeMutablePointer<group>?
    var space = [CChar](repeating: 0, count: 1 << 16)
    guard getgrnam_r(name, &entry, &space, space.count, &found) == 0, found != nil else {
      throw .unknownGroup(name)
    }
    self.init(readers: entry.gr_gid)
  }

  public func allows(_ peer: Peer, _ privilege: Privilege) -> Bool {
    if peer.isRoot { return true }
    guard privilege == .read, let readers else { return false }
    return peer.groups.contains(readers)
  }

  /// Nil when the peer may give the command, else what to tell it.
  public func refusal(_ peer: Peer, _ command: Command) -> Refusal? {
    if allows(peer, command.privilege) { return nil }
    let who =
      switch (command.privilege, readers) {
      case (.read, _?): "root and members of the socket's group"
      case (.read, nil), (.administer, _): "root"
      }
    return Refusal(
      .denied, "\"\(command.rawValue)\" is for \(who); this client runs as uid \(peer.user)")
  }
}
