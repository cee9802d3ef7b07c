// SPDX-License-Identifier: Apache-2.0
import CBPF
import CSystem
import Glibc

/// What the running kernel's BTF and its table of symbols say. Loaded for one set of declarations and
/// let go soon: it takes several megabytes.
package final class KernelTypes: TypeSource {
  private let kernel: OpaquePointer
  private var modules: [String: OpaquePointer] = [:]
  private var structures: [String: KernelStructure] = [:]
  private var functions: [String: UInt32] = [:]
  private var functionModules: [String: String] = [:]
  private var symbols: [String: UInt64] = [:]

  package init(for declarations: LayoutDeclarations) throws(DatapathError) {
    guard let loaded = btf__load_vmlinux_btf() else {
      throw DatapathError(
        "reading the kernel's BTF (/sys/kernel/btf/vmlinux)", String(cString: strerror(errno)))
    }
    kernel = loaded
    let names = declarations.structures.map(\.name)
    let called = declarations.functions + declarations.optionalFunctions
    let found = Self.find(names, called, in: kernel, from: 1)
    for (name, id) in found.structures { add(name, id, of: kernel, module: nil) }
    functions = found.functions
    let elsewhere = declarations.structures.filter { structures[$0.name] == nil }
    let lacking = declarations.functionModules.filter { functions[$0.key] == nil }
    for module in Set(elsewhere.flatMap(\.modules) + lacking.values).sorted() {
      let sought = elsewhere.filter { $0.modules.contains(module) && structures[$0.name] == nil }
      search(
        module, for: sought.map(\.name),
        lacking.filter { $0.value == module }.map(\.key).sorted())
    }
    // What became a member of something is not looked for as a global any more: to have the table of
    // symbols written out takes longer than everything else here.
    let global = declarations.symbols.filter { isNeeded($0, declarations) }
    if !global.isEmpty { symbols = Self.symbols(global) }
  }

  deinit {
    for module in modules.values { btf__free(module) }
    btf__free(kernel)
    malloc_trim(0)
  }

  package func structure(_ name: String, module: String?) -> KernelStructure? {
    guard let found = structures[name], found.module == nil || found.module == module else {
      return nil
    }
    return found
  }

  package func function(_ name: String) -> UInt32? { functions[name] }

  package func module(of function: String) -> String? { functionModules[function] }

  package func perProcessorOffset(_ name: String) -> UInt32? {
    let offset = fpd_btf_percpu(kernel, name)
    return offset < 0 ? nil : UInt32(offset)
  }

  package func enumerator(_ name: String, of type: String) -> Int64? {
    var value: Int64 = 0
    let isKnown = ([kernel] + modules.values).contains {
      fpd_btf_enumerator($0, type, name, &value) == 0
    }
    return isKnown ? value : nil
  }

  /// The coarse clock moves once a tick.
  package var ticksPerSecond: Int {
    var tick = timespec()
    guard clock_getres(CLOCK_MONOTONIC_COARSE, &tick) == 0, tick.tv_sec == 0, tick.tv_nsec > 0
    else { return 0 }
    return (1_000_000_000 + tick.tv_nsec / 2) / tick.tv_nsec
  }

  package func symbol(_ name: String) -> UInt64? { symbols[name] }

  package func field(_ path: [String], of structure: KernelStructure) -> KernelField? {
    guard let types = structure.module.map({ modules[$0] }) ?? kernel else { return nil }
    var found = fpd_btf_member(type: structure.id, bit_offset: 0, bit_size: 0)
    var offset: UInt32 = 0
    for name in path {
      guard fpd_btf_member_find(types, found.type, name, &found) == 0 else { return nil }
      offset += found.bit_offset
    }
    let bits = found.bit_size == 0 ? nil : Int(found.bit_size)
    let size = fpd_btf_size(types, found.type)
    return KernelField(bitOffset: Int(offset), bits: bits, size: Int(max(0, size)))
  }

  /// A global structure is needed for the members that were declared, where it has them; anything else
  /// unless it is a member of the namespace or of such a structure.
  private func isNeeded(_ symbol: String, _ declarations: LayoutDeclarations) -> Bool {
    let places = ["net"] + declarations.symbols
    for declared in declarations.structures where places.contains(declared.name) {
      guard let structure = structures[declared.name] else { continue }
      let present = declared.members.filter { field($0.path, of: structure) != nil }.map(\.name)
      if declared.name == symbol { return !present.isEmpty }
      if present.contains(symbol) { return false }
    }
    return !declarations.structures.contains { $0.name == symbol }
  }

  private func add(_ name: String, _ id: UInt32, of types: OpaquePointer, module: String?) {
    let size = fpd_btf_size(types, id)
    guard size >= 0 else { return }
    structures[name] = KernelStructure(id: id, size: Int(size), module: module)
  }

  private func search(_ module: String, for names: [String], _ called: [String]) {
    guard let types = btf__load_module_btf(module, kernel) else { return }
    modules[module] = types
    let found = Self.find(names, called, in: types, from: btf__type_cnt(kernel))
    for (name, id) in found.structures { add(name, id, of: types, module: module) }
    functions.merge(found.functions) { first, _ in first }
    for name in found.functions.keys { functionModules[name] = module }
  }

  private static func find(
    _ structures: [String], _ functions: [String], in types: OpaquePointer, from first: UInt32
  ) -> (structures: [String: UInt32], functions: [String: UInt32]) {
    let names = structures + functions
    let kinds =
      [UInt8](repeating: UInt8(FPD_BTF_STRUCT), count: structures.count)
      + [UInt8](repeating: UInt8(FPD_BTF_FUNCTION), count: functions.count)
    var ids = [UInt32](repeating: 0, count: names.count)
    var words: [UnsafePointer<CChar>?] = names.map { UnsafePointer(strdup($0)) }
    defer { for word in words { free(UnsafeMutableRawPointer(mutating: word)) } }
    guard fpd_btf_find(types, first, &words, kinds, &ids, names.count) == 0 else {
      return ([:], [:])
    }
    func known(_ range: Range<Int>) -> [String: UInt32] {
      let pairs = range.filter { ids[$0] != 0 }.map { (names[$0], ids[$0]) }
      return Dictionary(pairs) { first, _ in first }
    }
    return (known(0..<structures.count), known(structures.count..<names.count))
  }

  /// The addresses of symbols, as far as the kernel tells them.
  private static func symbols(_ names: [String]) -> [String: UInt64] {
    let wanted = Set(names)
    var found: [String: UInt64] = [:]
    guard let file = fopen("/proc/kallsyms", "re") else { return [:] }
    defer { fclose(file) }
    var line: UnsafeMutablePointer<CChar>?
    var room = 0
    defer { free(line) }
    let endings = wanted.map { Array($0.utf8) }
    while found.count < wanted.count, case let length = getline(&line, &room, file), length > 0 {
      guard let line else { break }
      // ADDRESS KIND NAME, and [MODULE] after a tab.
      let text = UnsafeRawBufferPointer(start: line, count: length)
      guard length > 20, text[16] == 0x20, text[18] == 0x20 else { continue }
      let name = text[19...].prefix { $0 > 0x20 }
      guard endings.contains(where: { $0.count == name.count && name.elementsEqual($0) }),
        let address = UInt64(String(decoding: text[..<16], as: UTF8.self), radix: 16), address != 0
      else { continue }
      found[String(decoding: name, as: UTF8.self)] = address
    }
    return found
  }
}
