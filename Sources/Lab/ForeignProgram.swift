// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Small BPF programs somebody else might have attached, compiled on the spot.
public enum ForeignProgram {
  /// An object file with an XDP program in section `xdp` that passes everything on.
  public static func xdpPass(
    in directory: TemporaryDirectory, named name: String = "foreign_pass"
  ) throws -> String {
    try compile(
      name,
      """
      __attribute__((section("xdp"), used)) int \(name)(void *ctx) { return 2; }
      char terms[] __attribute__((section("license"), used)) = "GPL";
      """, in: directory)
  }

  /// An object file with a classifier in section `classifier` that lets everything continue.
  public static func classifier(in directory: TemporaryDirectory) throws -> String {
    try compile(
      "classifier",
      """
      __attribute__((section("classifier"), used)) int foreign_cls(void *ctx) { return -1; }
      char terms[] __attribute__((section("license"), used)) = "GPL";
      """, in: directory)
  }

  private static func compile(
    _ name: String, _ source: String, in directory: TemporaryDirectory
  ) throws -> String {
    let object = "\(directory.path)/\(name).o"
    try directory.write("\(name).c", source)
    try Command.run(
      ["clang", "-O2", "-g", "-target", "bpf", "-c", "\(directory.path)/\(name).c", "-o", object]
    ).check()
    return object
  }
}
