// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Rendering
import Testing

@Suite struct AnswerRenderingTests {
  private static let colour = Style(hasColour: true)

  @Test func status() throws {
    let json = try JSON(
      parsing: """
        {"version":"0.1.0","state":"degraded","generation":42,"interfaces":[
        {"name":"eth1","ifindex":7,"hook":"xdp","accelerated":true,"modules":["bridge","router"],
         "reason":null,"fast_share":0.9987},
        {"name":"a-long-name-0","ifindex":1234567,"hook":"none","accelerated":false,"modules":[],
         "reason":"link-kind-not-modelled","fast_share":null},
        {"name":"eth2","ifindex":8,"hook":"tc","accelerated":true,"modules":["router"],
         "reason":null,"fast_share":0}],
        "problems":[{"what":"iptables-legacy","detail":"cannot be read: Operation not permitted"}]}
        """)
    try golden("status.txt", statusText(json))
    try golden("status.colour.txt", statusText(json, style: Self.colour))
    let none = try JSON(
      parsing: #"{"version":"1","state":"converged","generation":1,"interfaces":[]}"#)
    #expect(statusText(none) == "fpd 1  converged  generation 1\n\nno interfaces\n")
  }

  /// What a compiler says stays lines, and cannot move the cursor.
  @Test func problemOfSeveralLines() throws {
    let json = try JSON(
      parsing: #"""
        {"version":"1","state":"degraded","generation":1,"interfaces":[],
        "problems":[{"what":"data-path","detail":"clang failed\na.h:1: no\u001b[2J"}]}
        """#)
    #expect(statusText(json).contains("\n  data-path: clang failed\n    a.h:1: no\u{fffd}[2J\n"))
  }

  @Test func config() throws {
    let json = try JSON(
      parsing: """
        [{"key":"defaults.hook","value":"auto","source":"default"},
        {"key":"interfaces.veth*.hook","value":"tc","source":"/etc/fpd/fpd.yaml:12"},
        {"key":"socket_group","value":null,"source":"default"},
        {"key":"log_level","value":"debug","source":"command line --log-level"}]
        """)
    try golden("config.txt", configText(json))
  }

  @Test func stats() throws {
    let json = try JSON(
      parsing: """
        {"interfaces":[{"name":"eth1","forwarded":{"packets":1234567,"bytes":79012288},
        "dropped":{"packets":0,"bytes":0},"punted":{"ttl-expired":{"packets":999,"bytes":63936},
        "ipv6-not-modelled":{"packets":1000,"bytes":-1}}},{"name":"eth2"}]}
        """)
    try golden("stats.txt", statsText(json))
    #expect(statsText(["interfaces": []]) == "no interfaces\n")
  }

  @Test func rules() throws {
    let json = try JSON(
      parsing: """
        {"tables":[{"backend":"iptables-legacy","family":"ip","name":"filter","chains":[
        {"name":"FORWARD","hook":"forward","priority":0,"type":"filter","rules":[
        {"number":1,"handle":null,"text":"-s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT",
         "where":"fast","causes":[],"packets":1234567,"bytes":79012288,
         "fast":{"packets":1234000,"bytes":1}},
        {"number":2,"handle":null,"text":"-m limit … -j LOG …","where":"punted",
         "causes":["limit","set x"],"packets":3,"bytes":180,"fast":{"packets":0,"bytes":0}}],
        "policy":{"verdict":"DROP","where":"unmet","causes":[],"packets":0,"bytes":0,
         "fast":{"packets":0,"bytes":0}}},
        {"name":"user","hook":null,"priority":null,"type":null,"rules":[],"policy":null}]},
        {"backend":"nftables","family":"inet","name":"fw\\u001b[31m","chains":[
        {"name":"c","hook":"forward","priority":-150,"type":"filter","rules":[
        {"number":1,"handle":4,"text":"ip saddr 10.0.0.1 drop","where":"not-on-the-way",
         "causes":[],"packets":null,"bytes":null,"fast":{"packets":0,"bytes":0}},
        {"number":2,"handle":12,"text":"tcp dport vmap { 22 : accept }","where":"kernel",
         "causes":["nat"],"packets":1,"bytes":60,"fast":{"packets":0,"bytes":0}}],
        "policy":{"verdict":"ACCEPT","where":"fast","causes":[],"packets":null,"bytes":null,
         "fast":{"packets":0,"bytes":0}}}]}]}
        """)
    try golden("rules.txt", rulesText(json))
    try golden("rules.colour.txt", rulesText(json, style: Style(hasColour: true, width: 72)))
    #expect(rulesText(["tables": []]) == "no firewall has a table\n")
    for hostile: JSON in [[:], ["tables": [1, [:], ["chains": [[:], ["rules": [[:], 3]]]]]]] {
      #expect(!rulesText(hostile).isEmpty)
    }
  }

  @Test func monitorSaysTheGenerationFirst() throws {
    let json = try JSON(
      parsing: #"{"version":1,"state":"converged","generation":43,"changed":["eth0","br0"]}"#)
    #expect(monitorLine(json) == "generation 43  state=converged  changed=eth0,br0\n")
  }

  @Test func anythingElseIsAnOutline() throws {
    let json = try JSON(
      parsing: """
        {"verdict":"punt","steps":[{"nf":"bridge","result":"forward"},{"nf":"router",
        "result":"punt","why":["ttl","options"]}],"empty":{},"packet":{"src":"10.0.0.1","ttl":1}}
        """)
    try golden("outline.txt", outline(json))
    #expect(outline("text") == "text\n")
  }
}
