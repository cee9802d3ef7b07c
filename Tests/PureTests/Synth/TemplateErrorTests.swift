// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Synth
import Testing

@Suite struct TemplateErrorTests {
  @Test(arguments: [
    ("\n  {{ rp_fliter }}", "2:6: no variable \"rp_fliter\"; did you mean \"rp_filter\"?"),
    ("{% if devise %}{% endif %}", "1:7: no variable \"devise\"; did you mean \"device\"?"),
    (
      "{{ conf.rp_flter }}",
      "1:9: no member \"rp_flter\" in conf; did you mean \"rp_filter\"?"
    ),
    (
      "ä\tü{{ conf['br-lan'].xyzzy }}",
      "1:22: no member \"xyzzy\" in conf['br-lan']; there is \"age\""
    ),
    ("{{ ports[2].name }}", "1:10: no element [2] in ports, which has 2"),
    ("{{ conf['br-wan'] }}", "1:9: no member \"br-wan\" in conf; did you mean \"br-lan\"?"),
    ("{{ zzzz.a | default(1) }}", "1:4: no variable \"zzzz\""),
    ("{{ zzzz.a is defined }}", "1:4: no variable \"zzzz\""),
    ("{{ loop.index }}", "1:4: no variable \"loop\"; it is there within a \"for\""),
    ("{% for x in zzzz %}{% endfor %}", "1:13: no variable \"zzzz\""),
    ("{{ zzzz | upper }}", "1:4: no variable \"zzzz\""),
    ("{{ zzzz == 1 }}", "1:4: no variable \"zzzz\""),
    ("{{ [zzzz] }}", "1:5: no variable \"zzzz\""),
  ]) func nothingMissingIsRenderedAsNothing(_ source: String, _ expected: String) {
    #expect(complaint(source) == "t:" + expected)
  }

  @Test(arguments: [
    ("{{ nothing }}", "1:4: nothing is null, which has no text; give it one with \"default\""),
    ("{{ ports }}", "1:4: ports is a list, which has no text; use \"join\" or a \"for\""),
    ("{{ conf }}", "1:4: conf is an object, which has no text; write its members one by one"),
    ("{{ device.x }}", "1:11: device is a string; expected an object with a member \"x\""),
    ("{{ ifindex[0] }}", "1:12: ifindex is a number; expected a list or an object"),
    ("{{ ports['x'] }}", "1:10: expected a number as index of ports, found a string"),
    (
      "{{ device < 1 }}",
      "1:11: \"<\" expects two numbers or two strings, found a string and a number"
    ),
    ("{{ 1 in 2 }}", "1:6: \"in\" expects a list, an object or a string behind it, found a number"),
    ("{{ 1 in device }}", "1:6: \"in\" expects a string before a string, found a number"),
    (
      "{{ negative | hex }}",
      "1:15: \"hex\" expects a whole number that is not negative, and as width a number from 1 to "
        + "16; negative is -1"
    ),
    ("{{ ifindex | c_string }}", "1:14: \"c_string\" expects a string; ifindex is 7"),
    (
      "{{ ports | join }}",
      "1:12: \"join\" expects a list of strings and numbers, and as separator a string; ports is a "
        + "list"
    ),
    ("{% for x in 5 %}{% endfor %}", "1:13: 5 is a number; expected a list or an object"),
    (
      "{% for x in conf %}{% endfor %}",
      "1:13: conf is an object; expected \"for key, value in …\""
    ),
    (
      "{% for k, v in ports %}{% endfor %}",
      "1:16: ports is a list; expected an object for two names"
    ),
  ]) func wrongTypesAreTold(_ source: String, _ expected: String) {
    #expect(complaint(source) == "t:" + expected)
  }

  @Test(arguments: [
    ("\n{% if stp %}\n", "2:1: the \"if\" opened here is never closed; expected \"endif\""),
    (
      "{% if stp %}{% for x in ports %}{% endif %}",
      "1:36: expected \"endfor\" for the \"for\" opened at 1:13, found \"endif\""
    ),
    ("{% endif %}", "1:4: \"endif\" closes nothing: no block is open"),
    ("{% else %}", "1:4: \"else\" stands outside of any \"if\""),
    (
      "{% if stp %}{% else %}{% else %}{% endif %}",
      "1:26: \"else\" behind the \"else\" of the \"if\" opened at 1:1; expected \"endif\""
    ),
    (
      "{% if stp %}{% else %}{% elif stp %}{% endif %}",
      "1:26: \"elif\" behind the \"else\" of the \"if\" opened at 1:1; expected \"endif\""
    ),
    (
      "{% for x in ports %}{% elif stp %}{% endfor %}",
      "1:24: \"elif\" does not belong to the \"for\" opened at 1:1"
    ),
    (
      "{% if stp %}{% else if stp %}{% endif %}",
      "1:16: \"else if\" is no tag; did you mean \"elif\"?"
    ),
    ("{% fi stp %}", "1:4: no tag \"fi\"; did you mean \"if\"?"),
    ("{% edif %}", "1:4: no tag \"edif\"; did you mean \"elif\" or \"endif\"?"),
    ("{% %}", "1:4: expected a tag (if, elif, else, endif, for, endfor, include), found \"%}\""),
    ("{{ device", "1:1: the \"{{\" opened here is never closed; expected \"}}\""),
    ("{% if stp", "1:1: the \"{%\" opened here is never closed; expected \"%}\""),
    ("{# device", "1:1: the comment opened here is never closed; expected \"#}\""),
    ("{#}", "1:1: the comment opened here is never closed; expected \"#}\""),
    ("{{ }}", "1:4: expected an expression, found \"}}\""),
    ("{{ device name }}", "1:11: expected \"}}\", found \"name\""),
    ("{{ (1 }}", "1:7: expected \")\" after the expression in parentheses, found \"}}\""),
    ("{{ ports[0 }}", "1:12: expected \"]\" after the index, found \"}}\""),
    ("{{ 'abc }}", "1:4: the string that begins here does not end on its line"),
    ("{{ 'a\\q' }}", "1:6: unknown escape; there is \\n, \\t, \\\\, \\\" and \\'"),
    ("{{ 1 § 2 }}", "1:6: \"§\" means nothing in a tag; expected \"}}\""),
    (
      "{{ 99999999999999999999 }}",
      "1:4: \"99999999999999999999\" is not a whole number of 64 bits, decimal or 0x…"
    ),
    ("{{ 1 < 2 < 3 }}", "1:10: comparisons do not chain; combine them with \"and\""),
    ("{{ 1 is defined }}", "1:4: expected a variable before \"is defined\", found 1"),
    ("{{ device is old }}", "1:14: expected \"defined\" after \"is\", found \"old\""),
    ("{{ device not 1 }}", "1:15: expected \"in\" after \"not\", found the number 1"),
    ("{{ device | uper }}", "1:13: no filter \"uper\"; did you mean \"upper\"?"),
    ("{{ device | upper(1) }}", "1:13: \"upper\" takes no argument, found 1"),
    ("{{ device | default }}", "1:13: \"default\" takes one argument, found 0"),
    (
      "{{ device | upper | default(1) }}",
      "1:21: expected a variable right before \"default\", found device | upper"
    ),
    ("{{ device. }}", "1:12: expected the name of a member after \".\", found \"}}\""),
    ("{{ - device }}", "1:6: expected a number after \"-\", found \"device\""),
    ("{{ if }}", "1:4: expected an expression, found \"if\""),
    ("{% for loop in ports %}", "1:8: expected a name for the elements, found \"loop\""),
    ("{% for in ports %}", "1:8: expected a name for the elements, found \"in\""),
    ("{% for x of ports %}", "1:10: expected \"in\" after \"for x\", found \"of\""),
    (
      "{% include device %}",
      "1:12: expected the name of a template in quotes after \"include\", found \"device\""
    ),
    ("{% include 'nowhere' %}", "1:12: no template \"nowhere\""),
    ("{% endfor x %}", "1:4: \"endfor\" closes nothing: no block is open"),
  ]) func whatIsNotWellFormedIsRefused(_ source: String, _ expected: String) {
    #expect(complaint(source) == "t:" + expected)
  }

  @Test func errorsInIncludesNameBothPlaces() {
    let files = ["a": "\n{% include 'b' %}", "b": " {{ devise }}", "c": "{% if %}"]
    #expect(
      complaint("x {% include 'a' %}", files)
        == "b:1:5: no variable \"devise\"; did you mean \"device\"?; included from a:2:1"
        + "; included from t:1:3")
    #expect(
      complaint("{% include 'c' %}", files)
        == "c:1:7: expected an expression, found \"%}\"; included from t:1:1")
    #expect(
      complaint("{% include 'd' %}{{ devise }}", ["d": "\n\n{{ device }}"])
        == "t:1:21: no variable \"devise\"; did you mean \"device\"?")
  }

  @Test func includesInACircleAreRefusedWithTheWholeCircle() {
    let files = ["a": "{% include 'b' %}", "b": "{% if stp %}{% include 'a' %}{% endif %}"]
    #expect(
      complaint("{% include 'a' %}", files)
        == "b:1:24: templates include each other without end: a → b → a; included from a:1:1"
        + "; included from t:1:1")
    #expect(
      complaint("{% include 't' %}")
        == "t:1:12: templates include each other without end: t → t")
  }

  @Test func variablesMustBeAnObject() {
    #expect(
      complaint("x", with: [1])
        == "t:1:1: expected an object whose members are the variables, found a list")
  }

  // MARK: Limits

  @Test func eachLimitHoldsAndIsNamed() {
    var limits = Template.Limits()
    limits.nesting = 3
    let block = ("{% if true %}", "{% endif %}")
    func nested(_ depth: Int, _ inner: String = "x") -> String {
      String(repeating: block.0, count: depth) + inner + String(repeating: block.1, count: depth)
    }
    #expect(complaint(nested(3), limits: limits) == "no error: x")
    let blocks = "blocks and includes are nested more than 3 deep"
    #expect(complaint(nested(4), limits: limits) == "t:1:40: \(blocks)")
    let include = nested(1, "{% include 'a' %}")
    #expect(complaint(include, ["a": nested(1)], limits: limits) == "no error: x")
    #expect(complaint(include, ["a": nested(2)], limits: limits) == "t:1:14: \(blocks)")
    #expect(complaint("{{ ((1)) }}", limits: limits) == "no error: 1")
    let parentheses = "parentheses are nested more than 3 deep"
    #expect(complaint("{{ (((1))) }}", limits: limits) == "t:1:7: \(parentheses)")

    limits = Template.Limits()
    limits.includeDepth = 2
    let files = ["a": "{% include 'b' %}", "b": "b"]
    #expect(complaint("{% include 'b' %}", files, limits: limits) == "no error: b")
    #expect(
      complaint("{% include 'a' %}", files, limits: limits)
        == "a:1:12: includes are nested more than 2 deep; included from t:1:1")

    limits = Template.Limits()
    limits.operators = 2
    #expect(complaint("{{ not not 1 }}", limits: limits) == "no error: true")
    #expect(
      complaint("{{ not not not 1 }}", limits: limits) == "t:1:16: more than 2 operators in one tag"
    )

    limits = Template.Limits()
    limits.outputBytes = 6
    #expect(complaint("12{{ device }}4", limits: limits) == "no error: 12br04")
    #expect(
      complaint("1234{{ device }}", limits: limits)
        == "t:1:8: the text becomes longer than 6 bytes")
    #expect(
      complaint("{% include 'd' %}12345", ["d": "\n\n{{ 1 }}"], limits: limits)
        == "t:1:1: the text becomes longer than 6 bytes")
    #expect(
      complaint("{{ '\"\"' | c_string | c_string }}", limits: limits)
        == "t:1:22: a string longer than 6 bytes")

    limits = Template.Limits()
    limits.steps = 100
    let loop = "{% for a in numbers %}"
    let end = "{% endfor %}"
    #expect(complaint(loop + loop + end + end, limits: limits) == "no error: ")
    #expect(
      complaint(loop + loop + loop + loop + end + end + end + end, limits: limits)
        == "t:1:79: rendering takes more than 100 steps")

    limits = Template.Limits()
    limits.sourceBytes = 2
    #expect(complaint("ab", limits: limits) == "no error: ab")
    #expect(complaint("abc", limits: limits) == "t:1:1: the source is longer than 2 bytes")
  }
}
