// SPDX-License-Identifier: Apache-2.0
import CBPF
import Glibc

/// Which program an interface's packets meet, asked of the kernel and not of fpd. Not to be held longer than
/// the fpd runs that the interface is accelerated by.
public final class LiveProgram {
  private let map: Int32
  private let key: UInt32

  /// `hook`: "xdp" or "tc".
  public init(of device: String, _ hook: String, by fpd: Fpd) throws {
    let index = try fpd.namespace.ifindex(of: device)
    let path = "\(try fpd.pins())/\(index)-\(hook)/slot"
    map = bpf_obj_get(path)
    var found = fpd_map()
    guard map >= 0, fpd_map_read(map, &found) == 0 else {
      throw LabError("there is no \(path): \(device) is not accelerated")
    }
    // One array may serve many interfaces.
    key = found.entries == 1 ? 0 : index
  }

  deinit { close(map) }

  /// Its id, 0 when there is none.
  public var program: UInt32 {
    var (key, id) = (key, UInt32(0))
    return bpf_map_lookup_elem(map, &key, &id) == 0 ? id : 0
  }
}

extension Namespace {
  /// Where an fpd of this namespace keeps its pins, if there is a bpffs for all.
  public func pins() throws -> String {
    let number = try inside { () -> UInt64 in
      var status = stat()
      return stat("/proc/thread-self/ns/net", &status) == 0 ? UInt64(status.st_ino) : 0
    }
    return "/sys/fs/bpf/fpd-\(number)"
  }
}

extension Fpd {
  /// Where it keeps its pins, seen from here: without a bpffs for all it has one that only itself sees.
  func pins() throws -> String {
    let shared = try namespace.pins()
    guard access(shared, F_OK) != 0, let name = shared.split(separator: "/").last else {
      return shared
    }
    return "/proc/\(pid)/root\(directory.path)/state/bpf/\(name)"
  }
}
