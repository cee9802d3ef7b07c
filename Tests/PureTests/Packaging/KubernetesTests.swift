// SPDX-License-Identifier: Apache-2.0
import Configuration
import Control
import Foundation
import OrderedJSON
import Testing

private func text(_ path: String) throws -> String {
  try String(contentsOfFile: "\(repository)/\(path)", encoding: .utf8)
}

/// What is given to Kubernetes: no more than fpd needs, and what fpd itself takes.
@Suite struct KubernetesTests {
  static let folder = "packaging/kubernetes"
  private let daemonSet: JSON
  private let pod: JSON
  private let container: JSON

  init() throws {
    daemonSet = try YAMLText.file("\(Self.folder)/base/daemonset.yaml")
    pod = try #require(daemonSet["spec"]?["template"]?["spec"])
    #expect(pod["containers"]?.array?.count == 1 && pod["initContainers"] == nil)
    container = try #require(pod["containers"]?[0])
  }

  private func configuration(_ path: String) throws -> Configuration {
    try Configuration.parse(Array(text("\(Self.folder)/\(path)").utf8), file: path)
  }

  // MARK: Rights

  /// One capability of the unit has nothing to do in the container: nobody else is given the socket.
  @Test func theCapabilitiesAreThoseOfTheUnitButOne() throws {
    let line = try text("systemd/fpd.service").split(separator: "\n")
      .first { $0.hasPrefix("CapabilityBoundingSet=") }
    var unit = Set((line ?? "").split(separator: "=").last?.split(separator: " ") ?? [])
    #expect(unit.remove("CAP_CHOWN") != nil)
    #expect(try configuration("base/fpd.yaml").socketGroup.value == nil)
    #expect(try configuration("act/fpd.yaml").socketGroup.value == nil)
    let capabilities = container["securityContext"]?["capabilities"]
    #expect(capabilities?["drop"] == ["ALL"])
    let added = (capabilities?["add"]?.array ?? []).compactMap(\.string)
    #expect(Set(added.map { "CAP_\($0)" }) == Set(unit.map(String.init)))
    #expect(Set(added).count == added.count && added.count >= 5)
    let (security, manual) = (try text("docs/security.md"), try text("docs/man/fpd.8"))
    for name in added {
      #expect(security.contains("| CAP_\(name) |"), "docs/security.md tells what for: \(name)")
      #expect(manual.contains("CAP_\(name)"))
    }
  }

  @Test func nothingIsPrivileged() throws {
    for path in YAMLText.files(below: Self.folder) {
      let documents = try YAMLText.documents(text(path))
      for found in documents.flatMap(Self.rights) { Issue.record("\(path): \(found)") }
    }
    let context = container["securityContext"]
    #expect(context?["readOnlyRootFilesystem"] == true)
    #expect(context?["seccompProfile"]?["type"] == "RuntimeDefault")
    #expect(pod["automountServiceAccountToken"] == false && pod["hostNetwork"] == true)
    #expect(pod["serviceAccountName"] == "fpd" && container["ports"] == nil)
  }

  @Test(arguments: [
    "privileged: true", "a: [{hostPID: true}]", "hostIPC: on", "allowPrivilegeEscalation: true",
    "readOnlyRootFilesystem: false", "automountServiceAccountToken: true", "kind: ClusterRole",
    "kind: RoleBinding", "seccompProfile: {type: Unconfined}", "add: [ALL]",
    "hostPath: {path: /}", "a: {hostPath: {path: /proc}}", "mountPropagation: Bidirectional",
    "procMount: Unmasked",
  ])
  func whatIsPrivilegedIsSeen(_ words: String) throws {
    #expect(try YAMLText.documents(words).flatMap(Self.rights).count == 1)
  }

  /// What of a manifest gives more than is needed.
  private static func rights(_ value: JSON) -> [String] {
    let expected: [String: [JSON]] = [
      "privileged": [false], "hostPID": [false], "hostIPC": [false],
      "readOnlyRootFilesystem": [true], "automountServiceAccountToken": [false],
      "allowPrivilegeEscalation": [false], "mountPropagation": [], "procMount": [],
      "kind": ["Namespace", "ServiceAccount", "DaemonSet", "Kustomization"],
      "hostPath": [["path": "/sys/fs/bpf", "type": "Directory"]],
      "seccompProfile": [["type": "RuntimeDefault"]],
    ]
    if case .array(let elements) = value { return elements.flatMap(rights) }
    return (value.object?.members ?? []).flatMap { key, value -> [String] in
      if key == "add", value.array?.contains("ALL") == true { return ["\(key): ALL"] }
      guard let allowed = expected[key] else { return rights(value) }
      return allowed.contains(value) ? [] : ["\(key): \(value.text())"]
    }
  }

  // MARK: Files

  @Test func whatIsMountedIsWhatFpdUses() throws {
    let defaults = Configuration()
    func directory(_ path: String) -> String {
      URL(filePath: path).deletingLastPathComponent().path
    }
    #expect(directory(defaults.socket.value) == defaults.stateDirectory.value)
    // These two are no settings.
    #expect(try text("Sources/Datapath/Pins.swift").contains("shared: String = \"/sys/fs/bpf\""))
    #expect(try text("Sources/Datapath/Compiler.swift").contains("\"/tmp/fpd-clang-XXXXXX\""))
    let mounts = try #require(container["volumeMounts"]?.array)
    #expect(
      mounts.compactMap { $0["mountPath"]?.string }.sorted()
        == [
          directory(Configuration.defaultFile), defaults.stateDirectory.value,
          defaults.cacheDirectory.value, "/sys/fs/bpf", "/tmp",
        ].sorted())
    for mount in mounts {
      let isConfiguration = mount["name"] == "config"
      #expect(mount["readOnly"] == (isConfiguration ? true : nil), "\(mount.text())")
    }
    let volumes = try #require(pod["volumes"]?.array)
    let (names, used) = (
      volumes.map { $0["name"]?.string ?? "" }, mounts.map { $0["name"]?.string ?? "" }
    )
    #expect(names.sorted() == used.sorted() && !names.contains(""))
    let pinned = try #require(volumes.first { $0["hostPath"] != nil })
    #expect(mounts.first { $0["name"] == pinned["name"] }?["mountPath"] == "/sys/fs/bpf")
    #expect(
      container["args"] == ["--config", .string(Configuration.defaultFile)]
        && container["command"] == ["/usr/sbin/fpd"])
  }

  /// `fpctl` in the probes looks where fpd listens by default.
  @Test(arguments: [("base", true), ("act", false)])
  func theConfigurationIsFpdsAndSaysShadowOrNot(_ place: String, _ isShadow: Bool) throws {
    let manifest = try YAMLText.file("\(Self.folder)/\(place)/kustomization.yaml")
    let generator = try #require(manifest["configMapGenerator"]?[0])
    #expect(generator["files"] == ["fpd.yaml"])
    #expect(generator["behavior"] == (place == "base" ? nil : "replace"))
    let volume = pod["volumes"]?.array?.first { $0["configMap"] != nil }
    #expect(volume?["configMap"]?["name"] == generator["name"])
    var found = try configuration("\(place)/fpd.yaml")
    #expect(found.shadow.value == isShadow && found.shadow.source != .builtIn)
    found.shadow = Configuration().shadow
    #expect(found == Configuration())
  }

  // MARK: Nodes

  @Test func nodesAreAskedForByTheirLabel() throws {
    #expect(pod["nodeSelector"]?["fpd.io/mode"] == "shadow")
    let update = daemonSet["spec"]?["updateStrategy"]
    #expect(update?["type"] == "RollingUpdate")
    #expect(update?["rollingUpdate"] == ["maxUnavailable": 1, "maxSurge": 0])
    try check(daemonSet, mode: "shadow")
    #expect(
      try YAMLText.file("\(Self.folder)/kustomization.yaml")["resources"] == ["base"])
  }

  /// Patches that lead nowhere are errors where they are applied; here, where they are written.
  @Test func theOverlayIsTheSameForNodesThatAct() throws {
    let overlay = try YAMLText.file("\(Self.folder)/act/kustomization.yaml")
    #expect(overlay["resources"] == ["../base"])
    let patch = try #require(overlay["patches"]?[0])
    #expect(patch["target"]?["name"] == daemonSet["metadata"]?["name"])
    var changed = daemonSet
    let words = try YAMLText.documents(patch["patch"]?.string ?? "")
    for step in try #require(words.first?.array) {
      #expect(step["op"] == "replace")
      let path = (step["path"]?.string ?? "").split(separator: "/").map {
        String($0.replacing("~1", with: "/"))
      }
      changed = try replace(changed, path[...], step["value"] ?? .null)
    }
    try check(changed, mode: "act")
    #expect(!changed.text().contains("shadow"))
    let documents = try text("docs/operations.md")
    for mode in ["shadow", "act"] { #expect(documents.contains("fpd.io/mode=\(mode)")) }
  }

  private func check(_ set: JSON, mode: JSON) throws {
    let labels: JSON = ["app.kubernetes.io/name": "fpd", "fpd.io/mode": mode]
    #expect(set["metadata"]?["name"]?.string == "fpd-\(mode.string ?? "")")
    #expect(set["metadata"]?["labels"] == labels)
    #expect(set["spec"]?["selector"]?["matchLabels"] == labels)
    #expect(set["spec"]?["template"]?["metadata"]?["labels"] == labels)
    #expect(set["spec"]?["template"]?["spec"]?["nodeSelector"]?["fpd.io/mode"] == mode)
  }

  private func replace(_ value: JSON, _ path: ArraySlice<String>, _ new: JSON) throws -> JSON {
    guard let key = path.first else { return new }
    var object = try #require(value.object, "\(path)")
    let inner = try #require(object[key], "\(key)")
    object[key] = try replace(inner, path.dropFirst(), new)
    return .object(object)
  }

  // MARK: Probes and images

  @Test(arguments: [
    (StatusReport.State.converged, true, true), (.converging, true, true),
    (.degraded, true, false), (.converged, false, false),
  ])
  func isReadyWhenItIsWellAndUpToDate(
    _ state: StatusReport.State, _ isSettled: Bool, _ isReady: Bool
  ) throws {
    let served = try ServedSocket { request, reply in
      if request.command == .status {
        reply.finish(StatusReport(state: state, generation: 1, interfaces: []).json)
      } else if isSettled {
        reply.finish(["generation": 1])
      } else {
        reply.refuse(Refusal(.negative, "not live within 5000 ms"))
      }
    }
    defer { withExtendedLifetime(served) {} }  // not only until its last use
    #expect(try probe("livenessProbe", served.path).code == 0)
    #expect(try probe("startupProbe", served.path).code == 0)
    #expect(try (probe("readinessProbe", served.path).code == 0) == isReady)
  }

  @Test(arguments: ["startupProbe", "livenessProbe", "readinessProbe"])
  func isNotWellWhereNobodyAnswers(_ name: String) throws {
    #expect(try probe(name, "/nowhere/fpd.sock").code != 0)
  }

  /// Runs a probe with the `fpctl` at hand.
  private func probe(_ name: String, _ socket: String) throws -> Outcome {
    let words = try #require(container[name]?["exec"]?["command"]?.array).compactMap(\.string)
    #expect(words.contains { $0.contains("/usr/bin/fpctl") })
    var script = words.count == 3 && words[1] == "-c" ? words[2] : words.joined(separator: " ")
    script = script.replacing("/usr/bin/fpctl", with: "'\(fpctl)' --socket '\(socket)'")
    return try run("/bin/sh", ["-c", script])
  }

  @Test func theImageIsOfThisVersionAndNamesNoRegistry() throws {
    let base = try YAMLText.file("\(Self.folder)/base/kustomization.yaml")
    #expect(base["images"]?.array?.count == 1)
    #expect(base["images"]?[0] == ["name": "fpd", "newName": "fpd", "newTag": .string(version)])
    #expect(container["image"] == base["images"]?[0]?["name"])
    let recipe = try text("\(Self.folder)/Containerfile")
    #expect(recipe.contains("-t fpd:\(version) "))
    let bases = recipe.split(separator: "\n").filter { $0.hasPrefix("FROM ") }
    #expect(bases == ["FROM debian:trixie-slim"])
    #expect(recipe.contains("ENTRYPOINT [\"/usr/sbin/fpd\"]"))
  }
}
