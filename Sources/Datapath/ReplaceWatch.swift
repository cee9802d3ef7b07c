// SPDX-License-Identifier: Apache-2.0
import CBPF
import CSystem
import Glibc

/// Hears of every table that iptables-legacy replaces, while it listens.
package final class ReplaceWatch {
  /// What it hears.
  package enum Way: Sendable {
    /// Memory that may have been an old ruleset's is freed, in whatever namespace: costs nobody anything.
    case memory
    /// A table of one namespace was replaced, also of arptables and ebtables. As long as any system call is
    /// traced, every system call of the machine takes some 50 ns more.
    case calls
  }

  package let way: Way
  private let object: LoadedObject
  private let ring: OpaquePointer
  private var links: [OpaquePointer] = []
  private var memoryLink: Handle?

  /// By the better way that the kernel has; `namespace` is the inode number of the network namespace.
  package static func make(
    _ source: ObjectSource, namespace: UInt32
  ) throws(DatapathError) -> ReplaceWatch {
    do throws(DatapathError) {
      try ReplaceCounter.checkProcessors()
      return try ReplaceWatch(freesBy: source)
    } catch { return try ReplaceWatch(callsBy: source, namespace: namespace) }
  }

  package init(freesBy source: ObjectSource) throws(DatapathError) {
    let bytes = try source.object(
      "live/replaced.bpf.c", with: ["kernel/helpers.h", "kernel/numbers.h"])
    let loaded = try LoadedObject(bytes, name: "fpd_replaced")
    ring = try Self.ring(loaded)
    object = loaded
    way = .memory
    // Attached for a moment, to find out whether it can be.
    _ = try listen()
    stopListening()
  }

  private static func ring(_ loaded: borrowing LoadedObject) throws(DatapathError) -> OpaquePointer
  {
    guard let opened = fpd_bpf_ring_new(try loaded.map(ending: "replaced"), nil) else {
      throw DatapathError("opening the ring of replaced tables", String(cString: strerror(errno)))
    }
    return opened
  }

  /// `namespace` 0 stands for all.
  package init(callsBy source: ObjectSource, namespace: UInt32) throws(DatapathError) {
    let bytes = try source.object(
      "live/setsockopt.bpf.c", with: ["kernel/helpers.h", "kernel/numbers.h"])
    let loaded = try LoadedObject(bytes, name: "fpd_replace")
    let globals = try loaded.globals(as: UInt32.self)
    globals.pointee = namespace
    munmap(globals, 4096)
    ring = try Self.ring(loaded)
    object = loaded
    way = .calls
  }

  deinit {
    stopListening()
    ring_buffer__free(ring)
  }

  /// Whether it began just now: what was replaced before is not known.
  package func listen() throws(DatapathError) -> Bool {
    guard links.isEmpty, memoryLink == nil else { return false }
    if way == .memory {
      memoryLink = try RawTracepoint.attach(
        "percpu_free_percpu", try object.program("fpd_replaced"))
      return true
    }
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
    memoryLink = nil
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
