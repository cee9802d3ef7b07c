// SPDX-License-Identifier: Apache-2.0
import Datapath
import Foundation
import Testing

/// Every program is accepted by every clang at hand, whatever the kernel has, with all its warnings.
@Suite(.enabled("needs clang") { !Compilers.all.isEmpty })
struct FastPathCompilationTests {
  @Test(arguments: Compilers.all, MadeUpKernel.allCases)
  func everyShapeCompilesWithoutAWarning(_ compiler: String, _ kernel: MadeUpKernel) throws {
    let clang = try #require(Compiler(configured: compiler, timeLimit: .seconds(60)))
    let includes = try Includes([Golden.projectPath("fpm")])
    let layout = try kernel.layout()
    for shape in FastPathShape.allCases {
      // Shadow mode ends them all in the same way.
      for isShadow in kernel == .everything ? [false, true] : [false] {
        let source = try shape.program(layout, isShadow: isShadow).source
        let compilation = try Compilation(
          of: source, name: "\(shape).c", includes: includes, by: clang)
        do { _ = try compilation.finish() } catch {
          Issue.record("\(shape) by \(compiler) for \(kernel), shadow \(isShadow): \(error)")
        }
      }
    }
  }

  /// What the test above relies on: a warning is an error.
  @Test(arguments: Compilers.all) func aWarningIsAnError(_ compiler: String) throws {
    let clang = try #require(Compiler(configured: compiler, timeLimit: .seconds(60)))
    let includes = try Includes([Golden.projectPath("fpm")])
    let source =
      try FastPathShape.routerXDP.program(MadeUpKernel.new.layout()).source
      + "static int nobodyCallsIt(void) { return 1; }\n"
    let compilation = try Compilation(of: source, name: "x.c", includes: includes, by: clang)
    #expect(throws: DatapathError.self) { try compilation.finish() }
  }
}

enum Compilers {
  /// The distribution's, and the one of the Swift toolchain, which is years younger.
  static let all: [String] = {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"
    let folders = path.split(separator: ":").map(String.init) + ["/opt/swift/usr/bin"]
    var found: [String: String] = [:]
    for folder in folders {
      let file = URL(fileURLWithPath: "\(folder)/clang").resolvingSymlinksInPath().path
      if FileManager.default.isExecutableFile(atPath: file) { found[file] = "\(folder)/clang" }
    }
    return found.values.sorted()
  }()
}

/// Kernels that have everything, nothing that is newer than 6.1, or nothing that went since.
enum MadeUpKernel: String, CaseIterable, CustomTestStringConvertible {
  case everything, old, new

  var testDescription: String { rawValue }

  private static let newer: Set = [
    "net_device.tcx_ingress", "net_device.tcx_egress", "net_device.xdp_features",
    "net_device.priv", "net.ptype_all", "fib_alias.fa_dscp", "neighbour.hash",
    "neigh_hash_table.hash_heads", "bpf_verifier_state.may_goto_depth", "veth_xdp_buff.skb",
    "tcx_entry.miniq", "tcx_entry.bundle", "bpf_mprog_entry.parent", "bpf_mprog_bundle.count",
    "net_device.nf_hooks_egress", "net.policy_default", "net_bridge_port.hwdom",
    "net.hooks_bridge",
  ]
  private static let gone: Set = [
    "net_device.miniq_ingress", "net_device.miniq_egress", "fib_alias.fa_tos", "neighbour.next",
    "neigh_hash_table.hash_buckets",
  ]

  private var missing: Set<String> {
    switch self {
    case .everything: []
    case .old: Self.newer
    case .new: Self.gone
    }
  }

  func layout() throws -> String {
    let types = try Golden.projectFile("fpm/kernel/types.h")
    let declarations = try LayoutDeclarations(types)
    let all = Set(
      declarations.structures.flatMap { one in one.members.map { "\(one.name).\($0.name)" } })
    let unknown = missing.subtracting(all)
    if !unknown.isEmpty { Issue.record("types.h no longer declares \(unknown)") }
    return try KernelLayout(declarations, MadeUpTypes(declarations, without: missing)).text
  }
}

/// Each member after the other, in the order of their declaration.
private struct MadeUpTypes: TypeSource {
  private var structures: [String: KernelStructure] = [:]
  private var fields: [String: KernelField] = [:]

  init(_ declarations: LayoutDeclarations, without missing: Set<String>) {
    for (place, structure) in declarations.structures.enumerated() {
      let id = UInt32(place + 1)
      var offset = 0
      for member in structure.members where !missing.contains("\(structure.name).\(member.name)") {
        // A bit-field lies in the unit that it is declared with.
        let size = Self.size(of: member)
        let alignment = min(max(size, 1), 8)
        offset = (offset + alignment - 1) / alignment * alignment
        fields["\(id):\(member.path.joined(separator: "."))"] = KernelField(
          bitOffset: 8 * offset, bits: member.bits, size: size)
        // What has no length is followed by what nobody looks at.
        offset += size == 0 ? 64 : size
      }
      // The window is larger than any of them.
      let size = structure.name == "linux_mib" ? 1024 : (offset + 7) / 8 * 8
      structures[structure.name] = KernelStructure(
        id: id, size: size, module: structure.modules.first)
    }
  }

  private static func size(of member: LayoutDeclarations.Member) -> Int {
    let numbers = ["u8": 1, "s8": 1, "u16": 2, "s16": 2, "u32": 4, "s32": 4, "u64": 8, "s64": 8]
    let one = member.pointers > 0 ? 8 : numbers[member.type] ?? 8
    return member.counts.reduce(one, *)
  }

  func structure(_ name: String, module: String?) -> KernelStructure? { structures[name] }
  func field(_ path: [String], of structure: KernelStructure) -> KernelField? {
    fields["\(structure.id):\(path.joined(separator: "."))"]
  }
  func perProcessorOffset(_ name: String) -> UInt32? { 64 }
  func function(_ name: String) -> UInt32? { 1000 }
  func module(of function: String) -> String? { nil }
  func enumerator(_ name: String, of type: String) -> Int64? { Int64(name.utf8.count % 10) }
  var ticksPerSecond: Int { 250 }
  func symbol(_ name: String) -> UInt64? { 0xffff_ffff_8000_0000 }
}
