// SPDX-License-Identifier: Apache-2.0
import CSystem
import Glibc
import Synchronization

/// A guest as libvirt and QEMU connect one: a tap device in the host's namespace, the card `eth0` in the guest's, and a
/// thread that carries frames between them as QEMU does.
public final class VirtualMachine: Sendable {
  private let end: Int32
  private let pump: LoadThread<Void>
  private let counter: Counter

  private final class Counter: Sendable { let frames = Atomic<Int>(0) }

  /// Frames that were carried, both ways.
  public var carried: Int { counter.frames.load(ordering: .relaxed) }

  /// With `offloads` checksums and cutting streams into segments is left to the other side, as virtio_net has it.
  public init(_ guest: Namespace, tap: String, in host: Namespace, offloads: Bool) throws {
    let outer = try Self.open(tap, in: host, offloads)
    let inner = try Self.open("eth0", in: guest, offloads)
    var pipe = try Pipe()
    let reader = Mutex(dup(pipe.read.raw))
    end = dup(pipe.write.raw)
    pipe.write.close()
    let counter = Counter()
    self.counter = counter
    pump = try LoadThread {
      let ends = reader.withLock { $0 }
      defer { for descriptor in [outer, inner, ends] { close(descriptor) } }
      var buffer = [UInt8](repeating: 0, count: 1 << 17)
      while true {
        var waits = [outer, inner, ends].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        if poll(&waits, 3, -1) < 0, errno != EINTR { throw LabError("a guest's poll", code: errno) }
        if waits[2].revents != 0 { return }
        for (from, to) in [(outer, inner), (inner, outer)] {
          // A card takes some at once, and loses what it has no room for.
          for _ in 0..<64 {
            let count = read(from, &buffer, buffer.count)
            guard count > 0 else { break }
            if write(to, buffer, count) == count { counter.frames.add(1, ordering: .relaxed) }
          }
        }
      }
    }
  }

  deinit {
    close(end)
    _ = try? pump.value()
  }

  private static func open(_ name: String, in namespace: Namespace, _ offloads: Bool) throws
    -> Int32
  {
    let opened = try namespace.inside { lab_tap_device_open(name, offloads ? 1 : 0) }
    if opened < 0 {
      throw LabError("making the tap device \(name) in \(namespace.name)", code: -opened)
    }
    return opened
  }
}
