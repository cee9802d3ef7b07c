// SPDX-License-Identifier: Apache-2.0
import Datapath
import Testing

/// A kernel made up for the test.
private struct FakeKernel: TypeSource {
  var structures: [String: KernelStructure] = [:]
  var fields: [String: KernelField] = [:]
  var functions: [String: UInt32] = [:]
  var symbols: [String: UInt64] = [:]
  var enumerators: [String: Int64] = [:]
  var functionModules: [String: String] = [:]

  func structure(_ name: String, module: String?) -> KernelStructure? {
    guard let found = structures[name], found.module == nil || found.module == module else {
      return nil
    }
    return found
  }

  func field(_ path: [String], of structure: KernelStructure) -> KernelField? {
    fields["\(structure.id):\(path.joined(separator: "."))"]
  }

  func function(_ name: String) -> UInt32? { functions[name] }
  func module(of function: String) -> String? { functionModules[function] }
  func perProcessorOffset(_ name: String) -> UInt32? { nil }
  func symbol(_ name: String) -> UInt64? { symbols[name] }
  func enumerator(_ name: String, of type: String) -> Int64? { enumerators["\(type).\(name)"] }
  var ticksPerSecond: Int { 250 }
}

@Suite struct KernelLayoutTests {
  private func declare(_ lines: String) -> String {
    "/* before */\nint ignored;\n/* layout: begin */\n\(lines)\n/* layout: end */\nint ignored too\n"
  }

  private func layout(_ lines: String, _ kernel: FakeKernel) throws -> String {
    try KernelLayout(LayoutDeclarations(declare(lines)), kernel).text
  }

  @Test func membersStandWhereTheKernelHasThem() throws {
    var kernel = FakeKernel()
    kernel.structures["net_device"] = KernelStructure(id: 7, size: 64)
    kernel.fields["7:mtu"] = KernelField(bitOffset: 8 * 40, size: 4)
    kernel.fields["7:nd_net.net"] = KernelField(bitOffset: 8 * 16, size: 8)
    kernel.fields["7:name"] = KernelField(bitOffset: 0, size: 16)
    let text = try layout(
      """
      struct net_device {
      	u32 mtu;
      	struct net *net; /* path: nd_net.net */
      	char name[16];
      	u8 gone;
      };
      """, kernel)
    #expect(
      text.contains(
        """
        #define HAS_TYPE_net_device 1
        #define SIZE_net_device 64
        #define TYPE_ID_net_device 7
        #define HAS_net_device_mtu 1
        #define OFFSET_net_device_mtu 40
        #define HAS_net_device_net 1
        #define OFFSET_net_device_net 16
        #define HAS_net_device_name 1
        #define OFFSET_net_device_name 0
        #define HAS_net_device_gone 0
        struct net_device {
        	char name[16];
        	struct net *net;
        	char pad_0_24[16];
        	u32 mtu;
        	char pad_0_44[20];
        } __attribute__((packed, aligned(8)));
        """))
  }

  @Test func aStructureThatIsMissingStaysIncompleteAndIsNotEmbedded() throws {
    var kernel = FakeKernel()
    kernel.structures["outer"] = KernelStructure(id: 3, size: 8)
    kernel.fields["3:inner"] = KernelField(bitOffset: 0, size: 8)
    let text = try layout(
      "struct inner {\n u64 a;\n};\nstruct outer {\n struct inner inner;\n};", kernel)
    #expect(
      text.contains("#define HAS_TYPE_inner 0\n#define SIZE_inner 0\n#define TYPE_ID_inner 0"))
    #expect(text.contains("#define HAS_inner_a 0\nstruct inner;\n"))
    #expect(text.contains("#define HAS_outer_inner 0\nstruct outer {\n\tchar pad_0_0[8];\n}"))
  }

  @Test func whatAModuleHasCarriesNoTypeId() throws {
    var kernel = FakeKernel()
    kernel.structures["net_bridge"] = KernelStructure(id: 99, size: 8, module: "bridge")
    #expect(
      try layout("struct net_bridge { /* module: bridge */\n};", kernel)
        .contains(
          "#define HAS_TYPE_net_bridge 1\n#define SIZE_net_bridge 8\n#define TYPE_ID_net_bridge 0"))
    #expect(try layout("struct net_bridge {\n};", kernel).contains("HAS_TYPE_net_bridge 0"))
  }

  @Test func membersOfAUnionLieOverEachOther() throws {
    var kernel = FakeKernel()
    kernel.structures["either"] = KernelStructure(id: 1, size: 8)
    kernel.fields["1:word"] = KernelField(bitOffset: 0, size: 4)
    kernel.fields["1:half"] = KernelField(bitOffset: 16, size: 2)
    kernel.fields["1:last"] = KernelField(bitOffset: 32, size: 4)
    #expect(
      try layout("struct either {\n u32 word;\n u16 half;\n u32 last;\n};", kernel).contains(
        """
        struct either {
        	union {
        		struct __attribute__((packed)) {
        			u32 word;
        			u32 last;
        		};
        		struct __attribute__((packed)) {
        			char pad_1_0[2];
        			u16 half;
        			char pad_1_4[4];
        		};
        	};
        } __attribute__((packed, aligned(4)));
        """))
  }

  @Test func bitFieldsAreToldByUnitShiftAndMask() throws {
    var kernel = FakeKernel()
    kernel.structures["sk_buff"] = KernelStructure(id: 1, size: 32)
    kernel.fields["1:ip_summed"] = KernelField(bitOffset: 8 * 9 + 5, bits: 2, size: 1)
    kernel.fields["1:wide"] = KernelField(bitOffset: 8 * 8 + 6, bits: 4, size: 4)
    let text = try layout("struct sk_buff {\n u8 ip_summed : 2;\n u32 wide : 4;\n};", kernel)
    #expect(
      text.contains(
        """
        #define OFFSET_sk_buff_ip_summed 9
        #define UNIT_sk_buff_ip_summed u8
        #define SHIFT_sk_buff_ip_summed 5
        #define MASK_sk_buff_ip_summed 0x3u
        """))
    #expect(
      text.contains(
        """
        #define OFFSET_sk_buff_wide 8
        #define UNIT_sk_buff_wide u16
        #define SHIFT_sk_buff_wide 6
        #define MASK_sk_buff_wide 0xfu
        """))
    #expect(text.contains("struct sk_buff {\n\tchar pad_0_0[32];\n}"))
  }

  @Test func aWholeNumberThatBecameABitFieldOfItsSizeIsStillAMember() throws {
    var kernel = FakeKernel()
    kernel.structures["d"] = KernelStructure(id: 1, size: 8)
    kernel.fields["1:flags"] = KernelField(bitOffset: 0, bits: 32, size: 8)
    #expect(try layout("struct d {\n u32 flags;\n};", kernel).contains("\tu32 flags;"))
  }

  @Test func aBitFieldThatIsAWholeNumberElsewhereIsItsLowerPart() throws {
    var kernel = FakeKernel()
    kernel.structures["d"] = KernelStructure(id: 1, size: 16)
    kernel.fields["1:flags"] = KernelField(bitOffset: 64, size: 8)
    let text = try layout("struct d {\n u32 flags : 32;\n};", kernel)
    #expect(text.contains("#define OFFSET_d_flags 8\n"))
    #expect(text.contains("#define SHIFT_d_flags 0\n"))
  }

  @Test func functionsAndSymbolsAreNumbers() throws {
    var kernel = FakeKernel()
    kernel.functions["bpf_rdonly_cast"] = 4711
    kernel.symbols["ptype_all"] = 0xffff_ffff_8200_0000
    let text = try layout(
      "/* kfunc: bpf_rdonly_cast */\n/* kfunc: gone */\n/* ksym: ptype_all */\n/* ksym: lost */",
      kernel)
    #expect(text.contains("#define KFUNC_bpf_rdonly_cast 4711\n"))
    #expect(text.contains("#define KFUNC_gone 0\n"))
    #expect(
      text.contains("#define KSYM_ptype_all 0xffffffff82000000ULL\n#define KSYM_lost 0x0ULL\n"))
  }

  @Test func whatReadingLiveNeedsAndModulesThatAreNotLoadedAreTold() throws {
    var kernel = FakeKernel()
    let lines = """
      /* kfunc: bpf_rdonly_cast */
      struct linux_mib {
       u64 mibs[0];
      };
      struct net_bridge { /* module: bridge */
       u16 vlan_proto;
      };
      struct net_bridge_vlan { /* module: bridge */
       u16 vid;
      };
      struct veth_xdp_buff { /* module: veth */
       u16 skb;
      };
      """
    let bare = try KernelLayout(LayoutDeclarations(declare(lines)), kernel)
    #expect(bare.missing == ["bpf_rdonly_cast", "struct linux_mib"])
    #expect(bare.absentModules == ["bridge", "veth"])
    kernel.functions["bpf_rdonly_cast"] = 1
    kernel.structures["linux_mib"] = KernelStructure(id: 1, size: 8)
    // A bridge that was built without VLANs is there nonetheless.
    kernel.structures["net_bridge"] = KernelStructure(id: 2, size: 8, module: "bridge")
    let loaded = try KernelLayout(LayoutDeclarations(declare(lines)), kernel)
    #expect(loaded.missing == [])
    #expect(loaded.absentModules == ["veth"])
  }

  /// A function that is a module's is called with another number beside its own.
  @Test func functionsOfModulesAreToldFromTheKernels() throws {
    var kernel = FakeKernel()
    let lines = """
      /* kfunc if there: look_up in conntrack */
      /* kfunc if there: release in conntrack */
      struct entry { /* module: conntrack */
       u16 a;
      };
      """
    // A structure of that name may be in the kernel without the functions.
    kernel.structures["entry"] = KernelStructure(id: 1, size: 8)
    let bare = try KernelLayout(LayoutDeclarations(declare(lines)), kernel)
    #expect(bare.lacking == ["look_up", "release"])
    #expect(bare.absentModules == ["conntrack"])
    #expect(bare.calledModule == nil)
    kernel.functions = ["look_up": 7, "release": 8]
    let builtIn = try KernelLayout(LayoutDeclarations(declare(lines)), kernel)
    #expect(builtIn.lacking.isEmpty && builtIn.absentModules.isEmpty)
    #expect(builtIn.calledModule == nil)
    #expect(builtIn.text.contains("#define KFUNC_look_up 7\n#define KMODULE_look_up 0\n"))
    kernel.functionModules = ["look_up": "conntrack", "release": "conntrack"]
    let loaded = try KernelLayout(LayoutDeclarations(declare(lines)), kernel)
    #expect(loaded.lacking.isEmpty && loaded.absentModules.isEmpty)
    #expect(loaded.calledModule == "conntrack")
    #expect(loaded.text.contains("#define KFUNC_look_up 7\n#define KMODULE_look_up 1\n"))
  }

  /// What several modules have each for itself is taken from any of them.
  @Test func ofSeveralModulesTheFirstThatTellsCounts() throws {
    var kernel = FakeKernel()
    let lines = """
      struct bucket { /* module: hash_ip hash_net */
       u16 used;
      };
      struct net { /* module: hash_net */
       u16 length;
      };
      """
    let nobody = try KernelLayout(LayoutDeclarations(declare(lines)), kernel)
    #expect(nobody.absentModules == ["hash_ip", "hash_net"])
    #expect(nobody.text.contains("#define HAS_TYPE_bucket 0\n"))
    kernel.structures["bucket"] = KernelStructure(id: 1, size: 8, module: "hash_net")
    kernel.structures["net"] = KernelStructure(id: 2, size: 8, module: "hash_net")
    kernel.fields["1:used"] = KernelField(bitOffset: 16, size: 2)
    let one = try KernelLayout(LayoutDeclarations(declare(lines)), kernel)
    #expect(one.absentModules == ["hash_ip"])
    #expect(one.text.contains("#define HAS_TYPE_bucket 1\n#define SIZE_bucket 8\n"))
    #expect(one.text.contains("#define OFFSET_bucket_used 2\n"))
    kernel.structures["bucket"] = KernelStructure(id: 1, size: 8, module: "elsewhere")
    let other = try KernelLayout(LayoutDeclarations(declare(lines)), kernel)
    #expect(other.text.contains("#define HAS_TYPE_bucket 0\n"))
  }

  @Test func arraysWithoutLengthStandAtTheirPlace() throws {
    var kernel = FakeKernel()
    kernel.structures["hooks"] = KernelStructure(id: 1, size: 8)
    kernel.fields["1:count"] = KernelField(bitOffset: 0, size: 2)
    kernel.fields["1:entries"] = KernelField(bitOffset: 64, size: 0)
    let text = try layout("struct hooks {\n u16 count;\n void *entries[];\n};", kernel)
    #expect(text.contains("\tu16 count;\n\tchar pad_0_2[6];\n\tvoid *entries[0];\n}"))
  }

  @Test func anotherSizeIsAnErrorThatNamesBoth() throws {
    var kernel = FakeKernel()
    kernel.structures["net"] = KernelStructure(id: 1, size: 8)
    kernel.fields["1:a"] = KernelField(bitOffset: 0, size: 2)
    kernel.fields["1:b"] = KernelField(bitOffset: 0, bits: 3, size: 4)
    kernel.fields["1:c"] = KernelField(bitOffset: 3, size: 4)
    for (member, expected) in [
      ("u32 a;", "struct net: a has 4 bytes in kernel/types.h and 2 in this kernel"),
      ("u8 b;", "b has 1 bytes in kernel/types.h and is a bit-field of 3 bits"),
      ("u8 b : 2;", "b has 2 bits in kernel/types.h and 3 in this kernel"),
      ("u32 c;", "c does not begin with a byte"),
      ("struct other x;", "x is of the type struct other, which is not declared before"),
      ("possible_net_t x;", "x is of the type possible_net_t, which is not declared before"),
    ] {
      #expect {
        try layout("struct net {\n \(member)\n};", kernel)
      } throws: {
        "\($0)".contains(expected)
      }
    }
  }

  @Test(arguments: [
    ("struct {\n};", "line 4: expected `struct NAME {`"),
    ("struct a {\n u32 b\n};", "line 5: this is no member"),
    ("struct a {\n void (*call)(void);\n};", "line 5: this is no member"),
    ("struct a {\n u32 b[x];\n};", "line 5: this is no member"),
    ("struct a {\n u32 b[99999999999];\n};", "line 5: this is no member"),
    ("struct a {\n u32 b : 65;\n};", "line 5: this is no member"),
    ("struct a {\n u32;\n};", "line 5: this is no member"),
    ("struct a {\n u32 b]];\n};", "line 5: this is no member"),
    ("struct a {\n u32 b; /* path: c..; */\n};", "line 5: this is no path"),
    ("struct a {\n u32 b;\n u64 b;\n};", "line 6: struct a has b twice"),
    ("struct a {\n};\nstruct a {\n};", "line 6: struct a is declared twice"),
    ("struct a {\n u32 b;", "struct a is not closed"),
    ("/* kfunc: 9lives */", "line 4: this is no name"),
    ("/* kfunc if there: a of b */", "line 4: expected `FUNCTION in MODULE`"),
    ("#define X", "line 4: expected `struct NAME {`"),
  ])
  func whatCannotBeReadIsAnErrorWithItsLine(lines: String, expected: String) {
    #expect {
      _ = try LayoutDeclarations(declare(lines))
    } throws: {
      "\($0)".contains(expected)
    }
  }

  @Test func markersAreNeeded() {
    #expect {
      _ = try LayoutDeclarations("struct a {\n u32 b;\n};\n")
    } throws: {
      "\($0)".contains("layout: begin")
    }
  }

  @Test func commentsSayNothingByThemselves() throws {
    let text = """
      /* about
       * struct x {
       */
      struct a { /* module: bridge */ /* what it is */
      	const struct b *const_b; /* note: no path */
      	struct c *heads[5][2];

      };
      """
    let found = try LayoutDeclarations(declare(text)).structures
    #expect(found.map(\.name) == ["a"])
    #expect(found.first?.modules == ["bridge"])
    #expect(found.first?.members.map(\.type) == ["struct b", "struct c"])
    #expect(found.first?.members.map(\.pointers) == [1, 1])
    #expect(found.first?.members.map(\.counts) == [[], [5, 2]])
    #expect(found.first?.members.map(\.path) == [["const_b"], ["heads"]])
  }

  @Test func everyTruncationIsReadOrRefused() {
    let whole = declare("struct a { /* module: b */\n u8 *c[3]; /* path: d.e */\n u8 f : 2;\n};")
    for length in 0..<whole.count { _ = try? LayoutDeclarations(String(whole.prefix(length))) }
    #expect((try? LayoutDeclarations(whole)) != nil)
  }

  @Test func theIdentityTellsTextsApart() throws {
    var kernel = FakeKernel()
    kernel.structures["a"] = KernelStructure(id: 1, size: 8)
    let declarations = try LayoutDeclarations(declare("struct a {\n};"))
    let first = try KernelLayout(declarations, kernel)
    #expect(try KernelLayout(declarations, kernel).identity == first.identity)
    kernel.structures["a"]?.id = 2
    #expect(try KernelLayout(declarations, kernel).identity != first.identity)
  }
}
