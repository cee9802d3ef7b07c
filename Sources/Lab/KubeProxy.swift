// SPDX-License-Identifier: Apache-2.0

/// What kube-proxy hands to iptables-restore in its iptables mode, for so many services over UDP of some endpoints
/// each, with the masquerading of the node's agent. The first service has endpoints that answer.
public struct KubeProxy {
  private let services, endpoints: Int

  public init(services: Int = 500, endpoints: Int = 4) {
    (self.services, self.endpoints) = (services, endpoints)
  }

  public static let port = 53

  public func address(_ service: Int) -> String { "10.96.\(service / 250).\(1 + service % 250)" }

  public func endpoint(_ service: Int, _ number: Int) -> String {
    service == 0
      ? "10.0.2.2:\(8000 + number)"
      : "10.244.\(service / 60).\(1 + service % 60):\(9000 + number)"
  }

  public var rules: String { nat + filter }

  /// What flanneld adds to that, for iptables-restore without flushing, on the node whose pods are `own`.
  public static func flannel(_ own: String, of all: String = "10.244.0.0/16") -> String {
    """
    *filter
    :FLANNEL-FWD - [0:0]
    -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
    -A FLANNEL-FWD -s \(all) -m comment --comment "flanneld forward" -j ACCEPT
    -A FLANNEL-FWD -d \(all) -m comment --comment "flanneld forward" -j ACCEPT
    COMMIT
    *nat
    :FLANNEL-POSTRTG - [0:0]
    -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
    -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
    -A FLANNEL-POSTRTG -s \(own) -d \(all) -m comment --comment "flanneld masq" -j RETURN
    -A FLANNEL-POSTRTG -s \(all) -d \(own) -m comment --comment "flanneld masq" -j RETURN
    -A FLANNEL-POSTRTG ! -s \(all) -d \(own) -m comment --comment "flanneld masq" -j RETURN
    -A FLANNEL-POSTRTG -s \(all) ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
    -A FLANNEL-POSTRTG ! -s \(all) -d \(all) -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
    COMMIT

    """
  }

  private var nat: String {
    var chains: [String] = []
    var first: [String] = []
    var rest: [String] = []
    for service in 0..<services {
      let name = "default/service-\(service):dns"
      let chain = "KUBE-SVC-\(Self.letters(service, "S"))"
      chains.append(chain)
      first.append(
        "-A KUBE-SERVICES -d \(address(service))/32 -p udp -m comment --comment \"\(name) cluster IP\" "
          + "-m udp --dport \(Self.port) -j \(chain)")
      rest.append(
        "-A \(chain) ! -s 10.0.0.0/8 -d \(address(service))/32 -p udp -m comment --comment "
          + "\"\(name) cluster IP\" -m udp --dport \(Self.port) -j KUBE-MARK-MASQ")
      for number in 0..<endpoints {
        let sep = "KUBE-SEP-\(Self.letters(service * endpoints + number, "E"))"
        chains.append(sep)
        let left = endpoints - number
        let share =
          left > 1
          ? "-m statistic --mode random --probability \(1.0 / Double(left)) " : ""
        let place = endpoint(service, number)
        rest += [
          "-A \(chain) -m comment --comment \"\(name) -> \(place)\" \(share)-j \(sep)",
          "-A \(sep) -s \(place.split(separator: ":")[0])/32 -m comment --comment \"\(name)\" "
            + "-j KUBE-MARK-MASQ",
          "-A \(sep) -p udp -m comment --comment \"\(name)\" -m udp -j DNAT --to-destination \(place)",
        ]
      }
    }
    return """
      *nat
      :KUBE-SERVICES - [0:0]
      :KUBE-NODEPORTS - [0:0]
      :KUBE-POSTROUTING - [0:0]
      :KUBE-MARK-MASQ - [0:0]
      \(chains.map { ":\($0) - [0:0]" }.joined(separator: "\n"))
      -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
      -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
      -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
      -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
      -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
      -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
      -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
      \(first.joined(separator: "\n"))
      -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
      \(rest.joined(separator: "\n"))
      COMMIT

      """
  }

  private var filter: String {
    """
    *filter
    :KUBE-EXTERNAL-SERVICES - [0:0]
    :KUBE-FIREWALL - [0:0]
    :KUBE-FORWARD - [0:0]
    :KUBE-NODEPORTS - [0:0]
    :KUBE-PROXY-FIREWALL - [0:0]
    :KUBE-SERVICES - [0:0]
    -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
    -A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
    -A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
    -A INPUT -j KUBE-FIREWALL
    -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
    -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
    -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
    -A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
    -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
    -A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
    -A OUTPUT -j KUBE-FIREWALL
    -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
    -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
    -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
    -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    COMMIT

    """
  }

  /// A name of sixteen letters, as the hash of a name would be.
  private static func letters(_ number: Int, _ kind: Character) -> String {
    var (rest, text) = (number, "")
    for _ in 0..<6 {
      text.append(Character(UnicodeScalar(UInt8(65 + rest % 26))))
      rest /= 26
    }
    return String(kind) + text + "AAAAAAAAA"
  }
}
