// SPDX-License-Identifier: Apache-2.0
import Datapath
import Glibc
import Lab
import Testing

extension Kernel {
  /// The layout of the running kernel against what clang makes of bpftool's rendering of its types.
  @Suite struct DatapathLayoutTests {
    private static let declarations = """
      /* layout: begin */
      /* kfunc: bpf_rdonly_cast */
      /* kfunc: bpf_no_such_function */
      struct net_device {
      	u32 mtu;
      	int ifindex;
      	u16 hard_header_len;
      	struct net *net; /* path: nd_net.net */
      	void *rx_handler;
      	u8 no_such_member;
      };
      struct hlist_node {
      	struct hlist_node *next;
      };
      struct sk_buff {
      	struct net_device *dev;
      	u32 len;
      	u8 ip_summed : 2;
      	u16 vlan_proto;
      };
      struct neighbour {
      	u8 nud_state;
      };
      struct no_such_structure {
      	u32 a;
      };
      struct net {
      	void *hooks_ipv4[0]; /* path: nf.hooks_ipv4 */
      	u8 sysctl_ip_fwd_update_priority; /* path: ipv4.sysctl_ip_fwd_update_priority */
      };
      /* layout: end */
      """

    /// The kernel's members that stand for those declared with a path.
    private static let paths = [
      "net_device_net": "nd_net.net", "net_hooks_ipv4": "nf.hooks_ipv4",
      "net_sysctl_ip_fwd_update_priority": "ipv4.sysctl_ip_fwd_update_priority",
    ]

    @Test func offsetsAndSizesAreThoseOfTheKernel() throws {
      let directory = try TemporaryDirectory("layout")
      let text = try KernelLayout(types: Self.declarations).text
      let types = "typedef unsigned char u8; typedef unsigned short u16; typedef unsigned u32;\n"
      var kernel = "#include \"vmlinux.h\"\n"
      var own = types + text
      var checked = 0
      let declared = try LayoutDeclarations(Self.declarations)
      let present = declared.structures.filter { text.contains("#define HAS_TYPE_\($0.name) 1\n") }
      for structure in present {
        let type = "struct \(structure.name)"
        let size = try #require(Self.value("SIZE_\(structure.name)", in: text))
        kernel += "_Static_assert(sizeof(\(type)) == \(size), \"\(type)\");\n"
        own += "_Static_assert(sizeof(\(type)) == \(size), \"\(type)\");\n"
        for member in structure.members {
          let label = "\(structure.name)_\(member.name)"
          guard Self.value("HAS_\(label)", in: text) == "1", member.bits == nil else { continue }
          let offset = try #require(Self.value("OFFSET_\(label)", in: text))
          let path = Self.paths[label] ?? member.name
          kernel +=
            "_Static_assert(__builtin_offsetof(\(type), \(path)) == \(offset), \"\(label)\");\n"
          own +=
            "_Static_assert(__builtin_offsetof(\(type), \(member.name)) == \(offset), \"\(label)\");\n"
          checked += 1
        }
      }
      #expect(present.count == 5 && checked == 12)
      #expect(text.contains("#define HAS_net_device_no_such_member 0\n"))
      #expect(text.contains("#define HAS_TYPE_no_such_structure 0\n"))
      #expect(text.contains("#define KFUNC_bpf_no_such_function 0\n"))
      // The bit-field, by having the kernel's own structure written and clang work out the byte.
      kernel += """
        int ip_summed(void) {
          union { struct sk_buff skb; unsigned char bytes[sizeof(struct sk_buff)]; } seen = {};
          seen.skb.ip_summed = 3;
          return seen.bytes[SEEN_OFFSET] == SEEN_MASK << SEEN_SHIFT;
        }
        """
      let vmlinux = try Command.run(
        ["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"]
      ).check().output
      try directory.write("vmlinux.h", vmlinux)
      let offset = try #require(Self.value("OFFSET_sk_buff_ip_summed", in: text))
      let shift = try #require(Self.value("SHIFT_sk_buff_ip_summed", in: text))
      let mask = try #require(Self.value("MASK_sk_buff_ip_summed", in: text))
      let checks = [("kernel.c", kernel), ("own.c", own)]
      for (name, source) in checks {
        try directory.write(name, source)
        try Command.run(
          [
            "clang", "-target", "bpf", "-O2", "-Wall", "-Werror", "-Wno-missing-declarations", "-S",
            "-o", "\(directory.path)/\(name).s", "-DSEEN_OFFSET=\(offset)", "-DSEEN_SHIFT=\(shift)",
            "-DSEEN_MASK=\(mask)", "\(directory.path)/\(name)",
          ], timeout: .seconds(60)
        ).check()
      }
      #expect(try TextFile.read("\(directory.path)/kernel.c.s").contains("r0 = 1\n"))
    }

    @Test func idsAreThoseThatBpftoolTells() throws {
      let text = try KernelLayout(types: Self.declarations).text
      let dump = try Command.run(
        ["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "raw"],
        timeout: .seconds(60)
      ).check().output
      var found = 0
      for line in dump.split(separator: "\n") {
        for (kind, name, label) in [
          ("STRUCT", "net_device", "TYPE_ID_net_device"), ("STRUCT", "net", "TYPE_ID_net"),
          ("FUNC", "bpf_rdonly_cast", "KFUNC_bpf_rdonly_cast"),
        ] {
          guard line.hasPrefix("["), line.contains(" \(kind) '\(name)' ") else { continue }
          let id = String(line.dropFirst().prefix { $0 != "]" })
          #expect(Self.value(label, in: text) == id)
          found += 1
        }
      }
      #expect(found == 3)
    }

    @Test func whatTheProgramsUseCanBeLaidOut() throws {
      let path = "fpm/kernel/types.h"
      guard access(path, R_OK) == 0 else { return }
      let text = try KernelLayout(types: TextFile.read(path)).text
      let directory = try TemporaryDirectory("layout")
      try directory.write("layout.c", "#include \"kernel/helpers.h\"\n" + text)
      try Command.run(
        [
          "clang", "-target", "bpf", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-I", "fpm", "-c",
          "-o", "\(directory.path)/layout.o", "\(directory.path)/layout.c",
        ]
      ).check()
    }

    /// It is read once at every start, and must not stay.
    @Test func theKernelsTypesAreNotKept() throws {
      _ = try KernelLayout(types: Self.declarations)
      let before = try Self.resident()
      for _ in 0..<3 { _ = try KernelLayout(types: Self.declarations) }
      #expect(try Self.resident() - before < 2 << 10)
    }

    private static func resident() throws -> Int {
      let lines = try TextFile.read("/proc/self/status").split(separator: "\n")
      let line = try #require(lines.first { $0.hasPrefix("VmRSS:") })
      return try #require(Int(line.filter(\.isNumber)))
    }

    private static func value(_ name: String, in text: String) -> String? {
      for line in text.split(separator: "\n") {
        let words = line.split(separator: " ")
        if words.count == 3, words[0] == "#define", words[1] == name { return String(words[2]) }
      }
      return nil
    }
  }
}
