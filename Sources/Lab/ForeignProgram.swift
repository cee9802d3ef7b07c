// SPDX-License-Identifier: Apache-2.0
import CSystem
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

  /// An object file with a classifier in section `classifier` that lets everything continue, or
  /// another that drops everything.
  public static func classifier(
    in directory: TemporaryDirectory, named name: String = "foreign_cls", drops: Bool = false
  ) throws -> String {
    try compile(
      "classifier",
      """
      __attribute__((section("classifier"), used)) int \(name)(void *ctx) { return \(drops ? 2 : -1); }
      char terms[] __attribute__((section("license"), used)) = "GPL";
      """, in: directory)
  }

  /// Attaches the program with this id to a device by TCX; it stays as long as the result is held.
  public static func attachTCX(
    program id: UInt32, to device: String, in namespace: Namespace, egress: Bool = false
  ) throws -> Attachment {
    let index = try namespace.ifindex(of: device)
    let link = try namespace.inside { lab_tcx_attach(index, id, egress ? 1 : 0) }
    if link < 0 {
      throw LabError(
        "attaching program \(id) to \(device) by TCX", code: -link,
        hint: "kernels before 6.6 have no TCX")
    }
    return Attachment(link)
  }

  /// A program's place on a device; given up with its last holder.
  public final class Attachment: Sendable {
    private let descriptor: Int32
    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { close(descriptor) }
  }

  /// The ids of the loaded programs with this name.
  public static func ids(named name: String) throws -> [UInt32] {
    Residue.Present.now().programs.filter { Residue.programName($0) == name }.sorted()
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
