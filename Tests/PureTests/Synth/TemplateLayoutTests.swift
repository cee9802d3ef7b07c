// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Synth
import Testing

/// Where white space goes. The golden files are C, and `make lint` holds them to `.clang-format`
/// like C that was written by hand.
@Suite struct TemplateLayoutTests {
  @Test(arguments: ["router", "switch"])
  func generatedCReadsAsIfWrittenByHand(_ name: String) throws {
    let folder = "Tests/PureTests/Fixtures/templates"
    let source = try Golden.projectFile("\(folder)/router.bpf.c.tmpl")
    let template = try Template(source, name: "router.bpf.c.tmpl") {
      try? Golden.projectFile("\(folder)/\($0)")
    }
    let variables = try JSON(parsing: Golden.projectFile("\(folder)/\(name).json"))
    let text = try template.render(with: variables)
    try Golden.expect(text, equals: "templates/\(name).bpf.c")
    #expect(try template.render(with: variables) == text)
  }

  @Test(arguments: [
    // A line on which only tags stand leaves nothing behind.
    ("a\n{% if learning %}\nb\n{% endif %}\nc\n", "a\nb\nc\n"),
    ("a\n\t{% if stp %}\n\tb\n\t{% endif %}\nc\n", "a\nc\n"),
    ("a\n\t{% if stp %}\n\tb\n\t{% else %}\n\td\n\t{% endif %}\nc\n", "a\n\td\nc\n"),
    ("{% for n in numbers %}\n\t{{ n }},\n{% endfor %}\n", "\t1,\n\t2,\n\t3,\n"),
    ("  {% for n in numbers %}\n    {{ n }}\n  {% endfor %}\n}", "    1\n    2\n    3\n}"),
    ("a\n{# b\n c #}\nd\n", "a\nd\n"),
    ("a\n{% if stp\n or learning %}\nb\n{% endif %}\n", "a\nb\n"),
    ("{% if learning %}{# why #}{% endif %}\nb\n", "b\n"),
    ("a\n{{ empty }}\nb\n", "a\nb\n"),
    // Blank lines without tags stay.
    ("a\n\n{% if learning %}\n\nb\n{% endif %}\n\nc\n", "a\n\n\nb\n\nc\n"),
    // A line with something on it stays one, without blanks at its end.
    ("a {% if stp %}b{% endif %}\nc\n", "a\nc\n"),
    ("a {% if learning %}b{% endif %}\nc\n", "a b\nc\n"),
    ("a; {# why #}\nb\n", "a;\nb\n"),
    ("a  \nb{{ 1 }}\n", "a  \nb1\n"),
    ("{{ 'a\\n' }}\nb\n", "a\nb\n"),
    // The dash takes all white space there is.
    ("a\n\n {%- if learning -%} \n\n b \n{%- endif %}\nc", "ab\nc"),
    ("a {{- 1 -}} b", "a1b"), ("a \n{#- x -#}\n b", "ab"), ("a {{ -1 }}", "a -1"),
    ("{%- if learning -%}\n{%- endif -%}\n", ""), ("{{- 1 -}}", "1"),
  ]) func whiteSpaceGoesWhereItBelongs(_ source: String, _ expected: String) throws {
    #expect(try render(source) == expected)
  }

  @Test(arguments: [
    ("{\n\t{% include 'two' %}\n}\n", "{\n\ta\n\n\tb\n}\n"),
    ("{\n{% include 'two' %}\n}\n", "{\na\n\nb\n}\n"),
    ("{\n\t{% include 'open' %}\n}\n", "{\n\ta\n\tb\n}\n"),
    ("{\n\t{% include 'outer' %}\n}\n", "{\n\tif (x) {\n\t\ta\n\n\t\tb\n\t}\n}\n"),
    ("{\n\t{% include 'nothing' %}\n}\n", "{\n}\n"),
    ("x {% include 'word' %} y\n", "x word y\n"),
    ("{% if learning %}\n  {% include 'two' %}\n{% endif %}\nc\n", "  a\n\n  b\nc\n"),
    ("\t{% include 'leading' %}\nc\n", "\n\ta\nc\n"),
  ]) func anIncludeOnALineOfItsOwnIndentsWhatItIncludes(
    _ source: String, _ expected: String
  ) throws {
    let files = [
      "two": "a\n\nb\n", "open": "a\nb", "word": "word", "nothing": "{# nothing #}\n",
      "outer": "if (x) {\n\t{% include 'two' %}\n}\n", "leading": "\na\n",
    ]
    #expect(try render(source, files) == expected)
  }
}
