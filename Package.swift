// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let cStrict: [CSetting] = [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]
let staticStdlib: [LinkerSetting] = [.unsafeFlags(["-static-stdlib"])]

let package = Package(
  name: "fpd",
  products: [
    .executable(name: "fpd", targets: ["fpd"]),
    .executable(name: "fpctl", targets: ["fpctl"]),
    .executable(name: "fplab", targets: ["fplab"]),
    .executable(name: "fpfuzz", targets: ["fpfuzz"]),
  ],
  targets: [
    // C libraries, each confined to one shim target.
    .target(name: "CNetlink", cSettings: cStrict, linkerSettings: [.linkedLibrary("mnl")]),
    .target(
      name: "CXtables", cSettings: cStrict,
      linkerSettings: [.linkedLibrary("ip4tc"), .linkedLibrary("ip6tc")]),
    .target(name: "CBPF", cSettings: cStrict, linkerSettings: [.linkedLibrary("bpf")]),
    .target(name: "CLoad", cSettings: cStrict, linkerSettings: [.linkedLibrary("bpf")]),
    .target(name: "CYAML", cSettings: cStrict, linkerSettings: [.linkedLibrary("yaml")]),
    .target(
      name: "CMicrohttpd", cSettings: cStrict, linkerSettings: [.linkedLibrary("microhttpd")]),
    .target(name: "CSystem", cSettings: cStrict),

    // Leaves.
    .target(name: "OrderedJSON", swiftSettings: strict),
    .target(name: "Usage", swiftSettings: strict),
    .target(name: "Netlink", dependencies: ["CNetlink"], swiftSettings: strict),

    // The rooms, in the order data flows.
    .target(
      name: "Introspection", dependencies: ["Netlink", "CNetlink", "CXtables", "CSystem"],
      swiftSettings: strict),
    .target(name: "Rules", dependencies: ["Introspection"], swiftSettings: strict),
    .target(
      name: "Topology", dependencies: ["Introspection", "OrderedJSON"], swiftSettings: strict),
    .target(
      name: "Synth", dependencies: ["Introspection", "Rules", "Topology", "OrderedJSON", "Usage"],
      swiftSettings: strict),
    .target(name: "Datapath", dependencies: ["CBPF", "CSystem"], swiftSettings: strict),
    .target(
      name: "Control", dependencies: ["OrderedJSON", "Usage", "CSystem"], swiftSettings: strict),
    .target(
      name: "Configuration", dependencies: ["CYAML", "OrderedJSON", "Usage"], swiftSettings: strict),
    .target(
      name: "Metrics", dependencies: ["CMicrohttpd", "Configuration", "Control", "CSystem"],
      swiftSettings: strict),
    .target(name: "Rendering", dependencies: ["OrderedJSON"], swiftSettings: strict),
    .target(
      name: "Lab",
      dependencies: [
        "Control", "OrderedJSON", "CSystem", "CBPF", "CLoad", "Introspection", "Rules",
      ],
      swiftSettings: strict),

    // Holds the fast path against the kernel: docs/oracle.md.
    .target(
      name: "Oracle", dependencies: ["Lab", "Introspection", "OrderedJSON", "Usage", "CSystem"],
      path: "Tests/Oracle/Oracle",
      swiftSettings: strict),
    .executableTarget(
      name: "fporacle", dependencies: ["Oracle"], path: "Tests/Oracle/fporacle",
      swiftSettings: strict, linkerSettings: staticStdlib),

    // What people run.
    .executableTarget(
      name: "fpd",
      dependencies: [
        "Introspection", "Rules", "Topology", "Synth", "Datapath", "Control", "Configuration",
        "Metrics", "OrderedJSON", "Usage", "CSystem",
      ],
      swiftSettings: strict, linkerSettings: staticStdlib),
    .executableTarget(
      name: "fpctl", dependencies: ["Control", "Rendering", "OrderedJSON", "Usage"],
      swiftSettings: strict, linkerSettings: staticStdlib),
    .executableTarget(
      name: "fplab", dependencies: ["Lab", "Control", "OrderedJSON", "Rendering"],
      swiftSettings: strict, linkerSettings: staticStdlib),
    .executableTarget(
      name: "fpfuzz", dependencies: ["Netlink", "CNetlink", "Introspection"],
      swiftSettings: strict, linkerSettings: staticStdlib),

    .testTarget(
      name: "PureTests",
      dependencies: [
        "OrderedJSON", "Netlink", "Introspection", "Rules", "Topology", "Synth", "Control",
        "Configuration", "Metrics", "Rendering", "Datapath", "Usage", "CSystem", "CYAML", "Lab",
      ],
      resources: [.copy("Fixtures")], swiftSettings: strict),
    .testTarget(
      name: "KernelTests",
      dependencies: [
        "Lab", "Netlink", "CNetlink", "Introspection", "Topology", "Synth", "Rules", "Datapath",
        "Control", "OrderedJSON", "CBPF",
      ],
      exclude: ["Fixtures"], swiftSettings: strict),
    .testTarget(
      name: "OracleTests", dependencies: ["Oracle", "Lab", "OrderedJSON"],
      path: "Tests/Oracle/OracleTests", swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
