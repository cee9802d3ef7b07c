// SPDX-License-Identifier: Apache-2.0
import CBPF
import CSystem
import Glibc

/// Hears of every table that iptables-legacy, arptables or ebtables replaces in one namespace, while it
/// listens: as long as any system call is traced, every system call of the machine takes some 50 ns more.
package final class ReplaceWatch {
  private let object: LoadedObject
  private let ring: OpaquePointer
  private var links: [OpaquePointer] = []

  /// `namespace` is the inode number of the network namespace; 0 stands for all.
  package init(_ source: ObjectSource, namespace: UInt32) throws(DatapathError) {
    let bytes = try source.object(
      "live/setsockopt.bpf.c", with: ["kernel/helpers.h", "kernel/numbers.h"])
    let loaded = try LoadedObject(bytes, name: "fpd_replace")
    let globals = try loaded.globals(as: UInt32.self)
    globals.pointee = namespace
    munmap(globals, 4096)
    guard let opened = fpd_bpf_ring_new(try loaded.map(ending: "replaced")) else {
      throw DatapathError("opening the ring of replaced tables", String(cString: strerror(errno)))
    }
    ring = opened
    object = loaded
  }

  deinit {
    stopListening()
    ring_buffer__free(ring)
  }

  /// Whether it began just now: what was replaced before is not known.
  package func listen() throws(DatapathError) -> Bool {
    guard links.isEmpty else { return false }
    do throws(DatapathError) {
      for side in ["enter", "exit"] { links.append(try attach(side)) }
    } catch {
      stopListening()
      throw error
    }
    return true
  }

  package func stopListening() {
    for link in links { bpf_link__destroy(link) }
    links = []
  }

  /// Readable when a table was replaced.
  package var descriptor: Int32 { ring_buffer__epoll_fd(ring) }

  /// How many tables were replaced since the last call.
  package func drain() -> Int { Int(max(0, fpd_bpf_ring_count(ring))) }

  private func attach(_ side: String) throws(DatapathError) -> OpaquePointer {
    let attempt = "listening to setsockopt (\(side))"
    let id = fpd_tracepoint_id("syscalls", "sys_\(side)_setsockopt")
    guard id > 0 else {
      throw DatapathError(attempt, "no such tracepoint: \(String(cString: strerror(errno)))")
    }
    let event = fpd_tracepoint_open(id)
    guard event >= 0 else { throw DatapathError(attempt, String(cString: strerror(errno))) }
    // The link owns the descriptor from here on.
    guard
      let link = bpf_program__attach_perf_event(try object.program("fpd_setsockopt_\(side)"), event)
    else {
      let answer = String(cString: strerror(errno))
      close(event)
      throw DatapathError(attempt, answer)
    }
    return link
  }
}
