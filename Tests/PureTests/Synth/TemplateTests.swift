// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Synth
import Testing

let templateVariables: JSON = [
  "device": "br0", "rp_filter": "strict", "ifindex": 7, "mtu": 1500, "negative": -1,
  "stp": false, "learning": true, "nothing": nil, "empty": "", "none_of_it": [],
  "ports": [
    ["name": "eth1", "index": 3, "forwarding": true], ["name": "eth2.100", "index": 4],
  ],
  "routes": ["plain", "multipath"], "numbers": [1, 2, 3],
  "conf": ["br-lan": ["age": 300], "rp_filter": "loose", "half": .double(0.5)],
]

func render(
  _ source: String, _ files: [String: String] = [:], with variables: JSON = templateVariables,
  limits: Template.Limits = Template.Limits()
) throws -> String {
  try Template(source, name: "t", limits: limits) { files[$0] }.render(with: variables)
}

/// What rendering says is wrong.
func complaint(
  _ source: String, _ files: [String: String] = [:], with variables: JSON = templateVariables,
  limits: Template.Limits = Template.Limits()
) -> String {
  do throws(TemplateError) {
    let template = try Template(source, name: "t", limits: limits) { files[$0] }
    return "no error: " + (try template.render(with: variables))
  } catch {
    return error.description
  }
}

@Suite struct TemplateTests {
  @Test(arguments: [
    ("{{ device }}", "br0"), ("{{ ifindex }}", "7"), ("{{ learning }}", "true"),
    ("{{ conf.rp_filter }}", "loose"), ("{{ conf[\"br-lan\"].age }}", "300"),
    ("{{ ports[1].name }}", "eth2.100"), ("{{ ports[numbers[0]]['index'] }}", "4"),
    ("{{conf.half}}", "0.5"), ("{{ empty }}", ""), ("a{{ 1 }}b{{ -2 }}c{{ 0x1F }}", "a1b-2c31"),
    ("{{ \"}}{%\\n\\t\\\"\" }}", "}}{%\n\t\""), ("no tag { } %} }} #}", "no tag { } %} }} #}"),
    ("ä {{ 'ö' }} ü", "ä ö ü"), ("{", "{"), ("", ""), ("{{ (((1))) }}", "1"),
  ]) func valuesAreWritten(_ source: String, _ expected: String) throws {
    #expect(try render(source) == expected)
  }

  @Test(arguments: [
    ("learning", true), ("stp", false), ("nothing", false), ("empty", false), ("device", true),
    ("none_of_it", false), ("ports", true), ("ifindex", true), ("0", false), ("conf", true),
    ("not stp", true), ("not not stp", false), ("stp or learning", true),
    ("stp and learning", false), ("stp and stp or learning", true),
    ("stp and (stp or learning)", false), ("not stp and learning", true),
    ("ifindex == 7", true), ("ifindex != 7", false), ("ifindex < 8", true), ("ifindex <= 6", false),
    ("ifindex > 7", false), ("ifindex >= 7", true), ("negative < 0", true), ("1 == '1'", false),
    ("conf.half < 1", true), ("'a' < 'b'", true), ("nothing == null", true), ("0 == false", false),
    ("'plain' in routes", true), ("'plain' not in routes", false), ("9 in [1, 9]", true),
    ("'br' in device", true), ("'x' in device", false), ("'br-lan' in conf", true),
    ("device is defined", true), ("devise is defined", false), ("devise is not defined", true),
    ("conf.age is defined", false), ("ports[2] is defined", false), ("nothing is defined", true),
    ("not devise is defined and learning", true), ("routes|length == 2", true),
    ("[1, 2] == [1, 2]", true), ("stp and devise", false), ("learning or devise", true),
  ]) func conditionsHold(_ condition: String, _ holds: Bool) throws {
    #expect(try render("{% if \(condition) %}yes{% else %}no{% endif %}") == (holds ? "yes" : "no"))
  }

  @Test(arguments: [(1, "one"), (2, "two"), (3, "two"), (4, "many")])
  func theFirstBranchThatHoldsIsTaken(_ number: Int, _ expected: String) throws {
    let source =
      "{% if n == 1 %}one{% elif n == 2 or n == 3 %}two{% elif n < 4 %}no{% else %}many{% endif %}"
    #expect(try render(source, with: ["n": .number(number)]) == expected)
  }

  @Test func loopsKnowWhereTheyAre() throws {
    let source = """
      {% for p in ports %}{{ loop.index }}/{{ loop.length }} {{ loop.index0 }} {{ p.name }} \
      {{ loop.first }} {{ loop.last }}{% if not loop.last %}, {% endif %}{% endfor %}
      """
    #expect(try render(source) == "1/2 0 eth1 true false, 2/2 1 eth2.100 false true")
  }

  @Test func anEmptyListTakesTheElseOfTheLoop() throws {
    let source = "{% for x in list %}{{ x }}{% else %}none{% endfor %}"
    #expect(try render(source, with: ["list": []]) == "none")
    #expect(try render(source, with: ["list": [1, 2]]) == "12")
  }

  @Test func loopsNestAndTheInnerNameWins() throws {
    let source = """
      {% for x in [1, 2] %}{% for x in ['a', 'b'] %}{{ x }}{{ loop.index }}{% endfor %}\
      {{ x }}{{ loop.index }} {% endfor %}{{ x is defined }}
      """
    #expect(try render(source) == "a1b211 a1b222 false")
  }

  @Test func objectsAreWalkedInTheirOrder() throws {
    let source = "{% for key, value in o %}{{ key }}={{ value }};{% endfor %}"
    #expect(try render(source, with: ["o": ["z": 1, "a": 2, "m": 3]]) == "z=1;a=2;m=3;")
  }

  @Test(arguments: [
    ("ifindex | hex", "0x7"), ("mtu|hex(8)", "0x000005dc"),
    ("0xffffffffff | hex(4)", "0xffffffffff"),
    ("device | upper", "BR0"), ("'äx' | upper", "äX"), ("routes | join(', ')", "plain, multipath"),
    ("numbers | join", "123"), ("[] | join(',')", ""), ("routes | length", "2"),
    ("conf | length", "3"), ("'äx' | length", "3"), ("devise | default('none')", "none"),
    ("device | default('none')", "br0"), ("nothing | default(0)", "0"),
    ("conf.age | default(300) | hex", "0x12c"), ("ports[5] | default(conf.half)", "0.5"),
    ("stp | default(true)", "false"), ("device | upper | c_string", "\"BR0\""),
  ]) func filtersChangeValues(_ expression: String, _ expected: String) throws {
    #expect(try render("{{ \(expression) }}") == expected)
  }

  @Test(arguments: [
    ("plain", #""plain""#), ("", #""""#), (#"a"b\c"#, #""a\"b\\c""#), ("1\n\t\r", #""1\n\t\r""#),
    ("\u{1}2", #""\0012""#), ("\0", #""\000""#), ("ä", #""\303\244""#), ("\u{7f}", #""\177""#),
    ("what??=", #""what?\?=""#),
  ]) func stringsBecomeLiteralsOfC(_ text: String, _ expected: String) throws {
    #expect(try render("{{ x | c_string }}", with: ["x": .string(text)]) == expected)
  }

  @Test(arguments: [
    ("eth0", "eth0"), ("eth0.1", "eth0_x2e1"), ("eth0-1", "eth0_x2d1"), ("eth0_1", "eth0_1"),
    ("eth0_x2e1", "eth0_x5fx2e1"), ("1st", "_x31st"), ("_x", "_x5fx"), ("__u32", "_x5f_u32"),
    ("int", "_x69nt"), ("integer", "integer"), ("", "_x"), ("ä", "_xc3_xa4"), ("a_", "a_"),
    ("\t", "_x09"), ("veth@if3", "veth_x40if3"),
  ]) func namesBecomeIdentifiersOfC(_ name: String, _ expected: String) throws {
    #expect(try render("{{ x | identifier }}", with: ["x": .string(name)]) == expected)
  }

  @Test func differentNamesNeverBecomeTheSameIdentifier() throws {
    let letters = ["_", "x", "2", "e", ".", "f", "5", "i"]
    var names = [""]
    for _ in 0..<4 { names += names.flatMap { name in letters.map { name + $0 } } }
    let distinct = Set(names)
    let template = try Template("{{ x | identifier }}", name: "t")
    let identifiers = try Set(distinct.map { try template.render(with: ["x": .string($0)]) })
    #expect(distinct.count == 4681 && identifiers.count == distinct.count)
    #expect(identifiers.allSatisfy { $0.wholeMatch(of: /[A-Za-z_][A-Za-z0-9_]*/) != nil })
  }

  @Test func oneTemplateIsFilledOftenAndAlwaysTheSame() throws {
    let template = try Template("{% for r in routes %}{{ r }};{% endfor %}", name: "t")
    let first = try template.render(with: templateVariables)
    #expect(try template.render(with: ["routes": ["x"]]) == "x;")
    #expect(try template.render(with: templateVariables) == first)
  }

  @Test func includesSeeTheVariablesAndAreAskedForOnce() throws {
    var asked: [String] = []
    let files = ["a": "<{{ p }}{% include 'b' %}>", "b": "{{ loop.index }}"]
    let source = "{% for p in routes %}{% include 'a' %}{% endfor %}{% include \"c\" %}"
    let template = try Template(source, name: "t") { name in
      asked.append(name)
      return files[name, default: "!"]
    }
    #expect(asked == ["a", "b", "c"])
    #expect(try template.render(with: templateVariables) == "<plain1><multipath2>!")
    #expect(asked.count == 3)
  }
}
