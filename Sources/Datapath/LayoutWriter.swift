// SPDX-License-Identifier: Apache-2.0

/// Writes declarations so that they fit what a source of types says.
struct LayoutWriter<Source: TypeSource> {
  private let source: Source
  private var text = ""
  /// What has been written and can be embedded.
  private var written: [String: Extent] = [:]
  private var declared: Set<String> = []

  private struct Extent {
    var size: Int
    var alignment: Int
  }

  private struct Placed {
    var member: LayoutDeclarations.Member
    var offset: Int
    var extent: Extent
    var end: Int { offset + extent.size }
  }

  init(_ source: Source) { self.source = source }

  mutating func write(_ declarations: LayoutDeclarations) throws(DatapathError) -> String {
    text = """
      /* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
      /* Made by fpd from this kernel's BTF. */
      #ifndef FPM_KERNEL_LAYOUT_H
      #define FPM_KERNEL_LAYOUT_H

      """
    for name in declarations.perProcessor {
      let offset = source.perProcessorOffset(name)
      define("HAS_PERCPU_\(name)", offset == nil ? 0 : 1)
      define("PERCPU_\(name)", offset ?? 0)
    }
    for name in declarations.functions + declarations.optionalFunctions {
      define("KFUNC_\(name)", source.function(name) ?? 0)
      // Where its module's descriptor stands among those that a program is loaded with.
      define("KMODULE_\(name)", source.module(of: name) == nil ? 0 : 1)
    }
    for named in declarations.enumerators {
      define("ENUM_\(named.name)", source.enumerator(named.name, of: named.type) ?? -1)
    }
    define("KERNEL_HZ", source.ticksPerSecond)
    for name in declarations.symbols {
      define("KSYM_\(name)", "0x" + String(source.symbol(name) ?? 0, radix: 16) + "ULL")
    }
    for structure in declarations.structures { try write(structure) }
    text += "\n#endif\n"
    return text
  }

  private mutating func define(_ name: String, _ value: some CustomStringConvertible) {
    text += "#define \(name) \(value)\n"
  }

  private mutating func write(
    _ structure: LayoutDeclarations.Structure
  ) throws(DatapathError) {
    let name = structure.name
    declared.insert(name)
    text += "\n"
    let kernel = source.structure(structure)
    define("HAS_TYPE_\(name)", kernel == nil ? 0 : 1)
    define("SIZE_\(name)", kernel?.size ?? 0)
    define("TYPE_ID_\(name)", kernel?.module == nil ? kernel?.id ?? 0 : 0)
    var placed: [Placed] = []
    for member in structure.members {
      let label = "\(name)_\(member.name)"
      let extent = try extent(of: member, in: name)
      guard let kernel, let field = source.field(member.path, of: kernel),
        let extent
      else {
        define("HAS_\(label)", 0)
        continue
      }
      define("HAS_\(label)", 1)
      if let bits = member.bits {
        try defineBits(label, bits, field, extent, in: structure, member)
      } else {
        try check(member, extent, field, in: structure)
        define("OFFSET_\(label)", field.bitOffset / 8)
        placed.append(Placed(member: member, offset: field.bitOffset / 8, extent: extent))
      }
    }
    if let kernel {
      body(name, placed, kernel.size)
    } else {
      text += "struct \(name);\n"
    }
  }

  /// What a member takes as it is declared; `nil` when it embeds what this kernel does not have.
  private func extent(
    of member: LayoutDeclarations.Member, in name: String
  ) throws(DatapathError) -> Extent? {
    let count = member.counts.reduce(1, *)
    if member.pointers > 0 { return Extent(size: 8 * count, alignment: 8) }
    if let size = scalars[member.type] {
      return Extent(size: size * count, alignment: size)
    }
    if member.type.hasPrefix("enum ") { return Extent(size: 4 * count, alignment: 4) }
    let embedded = member.type.hasPrefix("struct ") ? String(member.type.dropFirst(7)) : ""
    if let extent = written[embedded] {
      return Extent(size: extent.size * count, alignment: extent.alignment)
    }
    if declared.contains(embedded), embedded != name { return nil }
    throw DatapathError(
      "laying out struct \(name)",
      "line \(member.line): \(member.name) is of the type \(member.type), which is not declared before"
    )
  }

  private func check(
    _ member: LayoutDeclarations.Member, _ extent: Extent, _ field: KernelField,
    in structure: LayoutDeclarations.Structure
  ) throws(DatapathError) {
    let attempt = "laying out struct \(structure.name)"
    if let bits = field.bits, bits != extent.size * 8 {
      throw DatapathError(
        attempt,
        "\(member.name) has \(extent.size) bytes in kernel/types.h and is a bit-field of \(bits) bits in this kernel"
      )
    }
    if field.bitOffset % 8 != 0 {
      throw DatapathError(attempt, "\(member.name) does not begin with a byte in this kernel")
    }
    if member.counts.contains(0) || field.bits != nil { return }
    if field.size != extent.size {
      throw DatapathError(
        attempt,
        "\(member.name) has \(extent.size) bytes in kernel/types.h and \(field.size) in this kernel"
      )
    }
  }

  private mutating func defineBits(
    _ label: String, _ bits: Int, _ field: KernelField, _ extent: Extent,
    in structure: LayoutDeclarations.Structure, _ member: LayoutDeclarations.Member
  ) throws(DatapathError) {
    let width = field.bits ?? field.size * 8
    // Of a number that is whole in this kernel, a part is the lower one.
    let isPart = field.bits == nil && bits < width
    if width != bits, !isPart {
      throw DatapathError(
        "laying out struct \(structure.name)",
        "\(member.name) has \(bits) bits in kernel/types.h and \(width) in this kernel")
    }
    let fitting = [8, 16, 32, 64].first { unit in
      field.bitOffset / unit == (field.bitOffset + bits - 1) / unit
    }
    guard let unit = fitting else {
      throw DatapathError(
        "laying out struct \(structure.name)", "\(member.name) crosses a word in this kernel")
    }
    define("OFFSET_\(label)", field.bitOffset / unit * (unit / 8))
    define("UNIT_\(label)", "u\(unit)")
    define("SHIFT_\(label)", field.bitOffset % unit)
    let mask = bits == 64 ? UInt64.max : (1 << UInt64(bits)) - 1
    define("MASK_\(label)", "0x" + String(mask, radix: 16) + (bits > 31 ? "ULL" : "u"))
  }

  private mutating func body(_ name: String, _ members: [Placed], _ size: Int) {
    // Members of a union lie over each other: each layer is a structure without overlaps.
    var layers: [[Placed]] = [[]]
    for placed in members.sorted(by: { $0.offset < $1.offset }) {
      if let free = layers.firstIndex(where: { ($0.last?.end ?? 0) <= placed.offset }) {
        layers[free].append(placed)
      } else {
        layers.append([placed])
      }
    }
    // The compiler splits what it reads into bytes unless it is told how they are aligned.
    let wanted = members.map(\.extent.alignment).max() ?? 1
    let alignment = [8, 4, 2].first { $0 <= wanted && size % $0 == 0 } ?? 1
    text += "struct \(name) {\n"
    if layers.count == 1 {
      layer(layers[0], size, "\t", 0)
    } else {
      text += "\tunion {\n"
      for (number, members) in layers.enumerated() {
        text += "\t\tstruct __attribute__((packed)) {\n"
        layer(members, size, "\t\t\t", number)
        text += "\t\t};\n"
      }
      text += "\t};\n"
    }
    text += "} __attribute__((packed, aligned(\(alignment))));\n"
    written[name] = Extent(size: size, alignment: alignment)
  }

  private mutating func layer(
    _ members: [Placed], _ size: Int, _ indentation: String, _ number: Int
  ) {
    var end = 0
    func pad(to place: Int) -> String {
      place > end ? "\(indentation)char pad_\(number)_\(end)[\(place - end)];\n" : ""
    }
    for placed in members {
      text += pad(to: placed.offset)
      let member = placed.member
      let stars = String(repeating: "*", count: member.pointers)
      let dimensions = member.counts.map { "[\($0)]" }.joined()
      text += "\(indentation)\(member.type) \(stars)\(member.name)\(dimensions);\n"
      end = placed.end
    }
    text += pad(to: size)
  }
}

/// The sizes of numbers under the names programs give them.
private let scalars = [
  "bool": 1, "_Bool": 1, "char": 1, "signed char": 1, "unsigned char": 1, "u8": 1, "s8": 1,
  "__u8": 1, "__s8": 1, "short": 2, "unsigned short": 2, "u16": 2, "s16": 2, "__u16": 2,
  "__s16": 2, "__be16": 2, "__le16": 2, "__sum16": 2, "int": 4, "unsigned": 4,
  "unsigned int": 4, "u32": 4, "s32": 4, "__u32": 4, "__s32": 4, "__be32": 4, "__le32": 4,
  "__wsum": 4, "long": 8, "unsigned long": 8, "long long": 8, "unsigned long long": 8, "u64": 8,
  "s64": 8, "__u64": 8, "__s64": 8, "__be64": 8,
]
