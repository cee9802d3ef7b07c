// SPDX-License-Identifier: Apache-2.0
import CBPF
import Datapath
import Foundation
import Glibc
import Lab
import Rules

/// bench/filter.bpf.c in the kernel with the image of one ruleset, attached to nothing.
final class FilterProgram {
  private let object: OpaquePointer
  private let image: ClassifierImage

  /// The names of outcomes that the program may give beside -1, accepted, and 1, dropped.
  static let reasons = [
    "MALFORMED", "CHANGED", "RULE_UNKNOWN", "RULE_EFFECT", "RULES_TOO_MANY", "RULES_MET",
    "NEXT_HOP", "NO_ROUTE", "ROUTE_TYPE",
  ]

  /// The kernel's and compiler's part, once for many.
  struct Source {
    let layout: String
    let includes: Includes
    let compiler: Compiler
    private let asksKernel: Bool

    /// `bounded`: with loops as on kernels that have no may_goto. `asksKernel`: what rules say of ipsets and
    /// types of addresses is looked up; else such packets are the kernel's.
    init(
      compiler name: String = "clang", bounded: Bool = false, asksKernel: Bool = false
    ) throws {
      self.asksKernel = asksKernel
      layout =
        try KernelLayout(types: TextFile.read("fpm/kernel/types.h")).text
        + (bounded ? "#undef HAS_bpf_verifier_state_may_goto_depth\n" : "")
      includes = try Includes(["fpm"])
      guard let found = Compiler(configured: name, timeLimit: .seconds(60)) else {
        throw LabError("there is no \(name)")
      }
      compiler = found
    }

    func object(of shape: ClassifierShape) throws -> [UInt8] {
      let names = FilterProgram.reasons.enumerated().map {
        "REASON_\($0.element) = \($0.offset + 2),"
      }
      let text =
        "#include \"kernel/numbers.h\"\n" + layout + "enum {\n" + names.joined(separator: "\n")
        + "\n};\n" + shape.definitions
        + (asksKernel ? "" : "#undef FILTER_ASKS_KERNEL\n")
        + (try TextFile.read("bench/filter.bpf.c"))
      return try Compilation(of: text, name: "filter.c", includes: includes, by: compiler).finish()
    }
  }

  init(_ bytes: [UInt8], _ image: ClassifierImage) throws {
    self.image = image
    fpd_bpf_keep_log()
    _ = fpd_bpf_take_log()
    let opened = bytes.withUnsafeBytes { fpd_bpf_open($0.baseAddress, $0.count, "filter") }
    guard let opened else { throw LabError("the object cannot be opened") }
    object = opened
    if bpf_object__load(opened) != 0 {
      throw LabError("refused: \(String(cString: fpd_bpf_take_log()).suffix(3000))")
    }
    var key: UInt32 = 0
    guard bpf_map_update_elem(try map("fpd_filter"), &key, image.bytes, 0) == 0 else {
      throw LabError("the image cannot be written: \(String(cString: strerror(errno)))")
    }
  }

  deinit { bpf_object__close(object) }

  private func map(_ name: String) throws -> Int32 {
    let found = bpf_object__find_map_fd_by_name(object, name)
    if found < 0 { throw LabError("there is no map \(name)") }
    return found
  }

  private func program(_ name: String) throws -> Int32 {
    guard let found = bpf_object__find_program_by_name(object, name) else {
      throw LabError("there is no program \(name)")
    }
    return bpf_program__fd(found)
  }

  /// The outcome, the rule that decided, and the mark; of the packet's own bytes where none others are given.
  func judge(
    _ packet: RulePacket, as datagram: [UInt8]? = nil
  ) throws -> (outcome: Int32, rule: UInt32, mark: UInt32) {
    var frame = packet.key + [UInt8](repeating: 0, count: 8) + (datagram ?? packet.datagram)
    var answer = [UInt8](repeating: 0, count: 512)
    var size = UInt32(answer.count)
    var metadata: UInt32 = 0
    let code = fpd_xdp_run(
      try program("fpd_judge"), 0, &frame, UInt32(frame.count), 0, &answer, &size, &metadata)
    guard code >= 0 else { throw LabError("the program does not run: \(code)") }
    return answer.withUnsafeBytes {
      (
        $0.loadUnaligned(fromByteOffset: RulePacket.keySize, as: Int32.self),
        $0.loadUnaligned(fromByteOffset: RulePacket.keySize + 4, as: UInt32.self),
        $0.loadUnaligned(fromByteOffset: RulePacket.markOffset, as: UInt32.self)
      )
    }
  }

  /// Packets and bytes by origin, of all that has been judged.
  func counts() throws -> [Int: (packets: UInt64, bytes: UInt64)] {
    let descriptor = try map("fpd_rule_counts")
    let processors = Int(libbpf_num_possible_cpus())
    var found: [Int: (packets: UInt64, bytes: UInt64)] = [:]
    var values = [UInt64](repeating: 0, count: processors * 2)
    for (counter, origins) in image.counters.enumerated() {
      var key = UInt32(counter)
      guard bpf_map_lookup_elem(descriptor, &key, &values) == 0 else {
        throw LabError("counter \(counter) cannot be read")
      }
      let packets = stride(from: 0, to: values.count, by: 2).reduce(0) { $0 + values[$1] }
      let bytes = stride(from: 1, to: values.count, by: 2).reduce(0) { $0 + values[$1] }
      if packets == 0 { continue }
      for origin in origins {
        let sum = found[origin] ?? (0, 0)
        found[origin] = (sum.packets + packets, sum.bytes + bytes)
      }
    }
    return found
  }

  /// The time of one run in nanoseconds, with judging and without: the best of some.
  func cost(of packets: [RulePacket]) throws -> (with: Int, without: Int) {
    let descriptor = try map("fpd_packets")
    for place in 0..<1024 {
      var key = UInt32(place)
      guard bpf_map_update_elem(descriptor, &key, packets[place % packets.count].key, 0) == 0 else {
        throw LabError("packet \(place) cannot be written")
      }
    }
    var best = [Int.max, Int.max]
    let frame = [UInt8](repeating: 0, count: 64)
    for _ in 0..<9 {
      for (place, name) in ["fpd_cost", "fpd_floor"].enumerated() {
        let took = fpd_bpf_time(try program(name), frame, UInt32(frame.count), 300_000)
        guard took >= 0 else { throw LabError("\(name) does not run: \(took)") }
        best[place] = min(best[place], Int(took))
      }
    }
    return (best[0], best[1])
  }

  /// Of the program that judges: its size, and what the verifier walked.
  func size() throws -> (instructions: Int, verified: Int) {
    var info = bpf_prog_info()
    var length = UInt32(MemoryLayout<bpf_prog_info>.size)
    guard bpf_obj_get_info_by_fd(try program("fpd_cost"), &info, &length) == 0 else {
      throw LabError("no information")
    }
    return (Int(info.xlated_prog_len) / 8, Int(info.verified_insns))
  }
}
