// SPDX-License-Identifier: Apache-2.0
import CBPF
import Datapath
import Foundation
import Glibc
import Lab
import Testing

extension Kernel {
  /// The programs that the pure ring keeps, against this kernel: the verifier takes every one of them, and
  /// they are no larger, and cost it no more, than Fixtures/program-sizes.json says. Each instruction is paid
  /// for by every packet, and what the verifier walks by every reaction.
  ///
  /// FPD_UPDATE_GOLDEN=1 writes the numbers of the compilers at hand anew.
  @Suite struct ProgramSizeTests {
    struct Size: Codable, Equatable {
      /// After the verifier.
      var instructions: Int
      /// That it walked.
      var verified: Int
      /// Bytes of the stack: the program's own, and the most that one of its functions takes.
      var stack: Int
    }
    /// By the compiler's major version, and by the program.
    typealias Sizes = [String: [String: Size]]

    private static let kept = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Fixtures/program-sizes.json")
    private static let programs = "Tests/PureTests/Fixtures/synth"
    /// BPF_LOG_STATS
    private static let statistics: UInt32 = 4
    /// Of what is kept, in hundredths: layouts and compilers' patch levels differ a little.
    private static let tolerance = 110

    private static let compilers = ["clang", "/opt/swift/usr/bin/clang"].filter {
      (name: String) -> Bool in
      !name.contains("/") || access(name, X_OK) == 0
    }

    @Test(arguments: compilers) func programsLoadAndDoNotGrow(_ compiler: String) throws {
      let clang = try #require(Compiler(configured: compiler, timeLimit: .seconds(60)))
      let version = try Self.major(of: compiler)
      let types = try TextFile.read("fpm/kernel/types.h")
      let layout = try KernelLayout(types: types).text
      let includes = try Includes(["fpm"])
      var measured: [String: Size] = [:]
      for name in try FileManager.default.contentsOfDirectory(atPath: Self.programs).sorted() {
        let shape = String(name.dropLast(2))
        let text = try TextFile.read("\(Self.programs)/\(name)")
        let source = text.replacing("/* the layout of this kernel */", with: layout)
        try #require(source != text, "\(name) has no place for the layout")
        let compilation = try Compilation(
          of: source, name: name, includes: includes, by: clang)
        measured[shape] = try Self.load(compilation.finish(), name: shape)
      }
      if getenv("FPD_UPDATE_GOLDEN") != nil { try Self.keep(measured, of: version) }
      let all = try JSONDecoder().decode(Sizes.self, from: Data(contentsOf: Self.kept))
      guard let kept = all[version] else {
        // The verifier has taken them all, and that is what there is to say of another compiler.
        return
      }
      let walksLoopsOnce = layout.contains("#define HAS_bpf_verifier_state_may_goto_depth 1\n")
      #expect(Set(kept.keys) == Set(measured.keys))
      for (shape, size) in measured {
        guard let bound = kept[shape] else { continue }
        #expect(
          size.instructions * 100 <= bound.instructions * Self.tolerance,
          "\(shape) has \(size.instructions) instructions, \(bound.instructions) are kept")
        if walksLoopsOnce {
          #expect(
            size.verified * 100 <= bound.verified * Self.tolerance,
            "\(shape): the verifier walks \(size.verified) instructions, \(bound.verified) are kept"
          )
        }
      }
      // What a wired router without a filter is spared.
      let plain = try #require(measured["router-xdp"]).instructions
      for more in ["router-xdp-veth", "router-strict-xdp", "router-into-bridges-xdp"] {
        #expect(try #require(measured[more]).instructions > plain, "\(more)")
      }
      for general in ["xdp", "tc"] {
        let specialised = try #require(measured["bridge-router-\(general)"]).instructions
        #expect(try #require(measured["general-\(general)"]).instructions > specialised)
      }
    }

    private static func major(of compiler: String) throws -> String {
      let words = try Command.run([compiler, "--version"]).check().output
      let match = try #require(words.firstMatch(of: /version (\d+)/))
      return "clang \(match.1)"
    }

    private static func load(_ bytes: [UInt8], name: String) throws -> Size {
      fpd_bpf_keep_log()
      _ = fpd_bpf_take_log()
      let opened = bytes.withUnsafeBytes { fpd_bpf_open($0.baseAddress, $0.count, name) }
      let object = try #require(opened)
      defer { bpf_object__close(object) }
      if name.hasPrefix("general") { try configure(object) }
      let program = try #require(bpf_object__next_program(object, nil))
      var statistics = [CChar](repeating: 0, count: 1 << 20)
      let loaded = statistics.withUnsafeMutableBufferPointer { buffer in
        bpf_program__set_log_level(program, Self.statistics)
        bpf_program__set_log_buf(program, buffer.baseAddress, buffer.count)
        return bpf_object__load(object)
      }
      let text = String(
        decoding: statistics.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      guard loaded == 0 else {
        let log = String(cString: fpd_bpf_take_log())
        throw LabError("\(name) is refused: \((log + text).suffix(3000))")
      }
      var info = bpf_prog_info()
      var length = UInt32(MemoryLayout<bpf_prog_info>.size)
      guard bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) == 0 else {
        throw LabError("\(name): no information")
      }
      return Size(
        instructions: Int(info.xlated_prog_len) / 8, verified: Int(info.verified_insns),
        stack: try Self.stack(in: text))
    }

    /// From "stack depth 312+0+152": the program, then what it calls.
    private static func stack(in log: String) throws -> Int {
      let match = try #require(log.firstMatch(of: /stack depth ([0-9+]+)/))
      let depths = match.1.split(separator: "+").compactMap { Int($0) }
      return try #require(depths.first) + (depths.dropFirst().max() ?? 0)
    }

    /// All that a general program can be asked to do: what its constants rule out the verifier leaves out.
    private static func configure(_ object: OpaquePointer) throws {
      var room = 0
      let constant = try #require(fpd_bpf_constant(object, "config", &room))
      let words = constant.assumingMemoryBound(to: UInt64.self)
      words[0] = 0xf
      for place in stride(from: 2, to: room / 8, by: 5) { words[place] = 4 }
    }

    private static func keep(_ measured: [String: Size], of version: String) throws {
      var all: Sizes = [:]
      if let data = try? Data(contentsOf: kept) {
        all = try JSONDecoder().decode(Sizes.self, from: data)
      }
      all[version] = measured
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try FileManager.default.createDirectory(
        at: kept.deletingLastPathComponent(), withIntermediateDirectories: true)
      try (encoder.encode(all) + Data("\n".utf8)).write(to: kept)
    }
  }
}
