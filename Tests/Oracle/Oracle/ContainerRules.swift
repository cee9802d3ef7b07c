// SPDX-License-Identifier: Apache-2.0

/// What the engines of containers do to a machine.
enum ContainerRules: String, CaseIterable {
  case docker = "Docker"
  case podman
  case cni = "CNI"
  case kube = "a routed Kubernetes node"

  var bridge: String {
    switch self {
    case .docker: "docker0"
    case .podman: "podman0"
    case .cni, .kube: "cni0"
    }
  }

  /// The first half of all containers' addresses.
  var prefix: String {
    switch self {
    case .docker: "172.17"
    case .podman: "10.88"
    case .cni, .kube: "10.244"
    }
  }

  var network: UInt32 {
    switch self {
    case .docker: 0xac11_0000
    case .podman: 0x0a58_0000
    case .cni, .kube: 0x0af4_0000
    }
  }

  var hasHairpin: Bool { self == .cni || self == .kube }

  /// The rules, with one of iptables' two tools.
  func rules(_ tool: String) -> [String] {
    let script: String
    switch self {
    case .docker: script = Self.dockerRules
    case .podman: script = Self.podmanRules
    case .cni: script = Self.cniRules
    case .kube: script = Self.kubeRules
    }
    return ["\(tool)-restore\n" + script]
  }

  private static let dockerRules = """
    *nat
    :DOCKER - [0:0]
    -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
    -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
    -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
    -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
    -A DOCKER -i docker0 -j RETURN
    -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
    COMMIT
    *filter
    :FORWARD DROP [0:0]
    :DOCKER - [0:0]
    :DOCKER-ISOLATION-STAGE-1 - [0:0]
    :DOCKER-ISOLATION-STAGE-2 - [0:0]
    :DOCKER-USER - [0:0]
    -A FORWARD -j DOCKER-USER
    -A FORWARD -j DOCKER-ISOLATION-STAGE-1
    -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A FORWARD -o docker0 -j DOCKER
    -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
    -A FORWARD -i docker0 -o docker0 -j ACCEPT
    -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
    -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
    -A DOCKER-ISOLATION-STAGE-1 -j RETURN
    -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
    -A DOCKER-ISOLATION-STAGE-2 -j RETURN
    -A DOCKER-USER -j RETURN
    COMMIT
    """

  private static let podmanRules = """
    *nat
    :NETAVARK-1D8721804F16F - [0:0]
    :NETAVARK-HOSTPORT-SETMARK - [0:0]
    :NETAVARK-HOSTPORT-MASQ - [0:0]
    -A POSTROUTING -j NETAVARK-HOSTPORT-MASQ
    -A POSTROUTING -s 10.88.0.0/16 -j NETAVARK-1D8721804F16F
    -A NETAVARK-1D8721804F16F -d 10.88.0.0/16 -j ACCEPT
    -A NETAVARK-1D8721804F16F ! -d 224.0.0.0/4 -j MASQUERADE
    -A NETAVARK-HOSTPORT-MASQ -m comment --comment "netavark portfw masq mark" -m mark --mark 0x2000/0x2000 -j MASQUERADE
    -A NETAVARK-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000
    COMMIT
    *filter
    :NETAVARK_FORWARD - [0:0]
    -A FORWARD -m comment --comment "netavark firewall rules" -j NETAVARK_FORWARD
    -A NETAVARK_FORWARD -d 10.88.0.0/16 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A NETAVARK_FORWARD -s 10.88.0.0/16 -j ACCEPT
    COMMIT
    """

  private static let cniRules = """
    *nat
    :CNI-0d6a2e9bd4a4 - [0:0]
    -A POSTROUTING -s 10.244.0.2/32 -m comment --comment "name: \\"net\\" id: \\"c1\\"" -j CNI-0d6a2e9bd4a4
    -A CNI-0d6a2e9bd4a4 -d 10.244.0.0/16 -j ACCEPT
    -A CNI-0d6a2e9bd4a4 ! -d 224.0.0.0/4 -j MASQUERADE
    COMMIT
    *filter
    :CNI-FORWARD - [0:0]
    :CNI-ADMIN - [0:0]
    -A FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
    -A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN
    -A CNI-FORWARD -d 10.244.0.2/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A CNI-FORWARD -s 10.244.0.2/32 -j ACCEPT
    COMMIT
    """

  /// Without connection tracking: pods that are routed as they are.
  private static let kubeRules = """
    *filter
    :KUBE-FORWARD - [0:0]
    :KUBE-FIREWALL - [0:0]
    -A FORWARD -j KUBE-FIREWALL
    -A FORWARD -j KUBE-FORWARD
    -A FORWARD -s 10.244.0.0/16 -j ACCEPT
    -A FORWARD -d 10.244.0.0/16 -j ACCEPT
    -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
    -A KUBE-FORWARD -s 10.9.13.0/24 -d 10.244.0.0/16 -p tcp -m tcp --dport 22 -j DROP
    COMMIT
    """
}
