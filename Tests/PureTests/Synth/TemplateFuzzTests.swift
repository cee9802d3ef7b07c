// SPDX-License-Identifier: Apache-2.0
import OrderedJSON
import Synth
import Testing

/// Mutated templates: each is rendered, or refused with an error that points into it.
@Suite struct TemplateFuzzTests {
  private struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var mixed = state
      mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
      return mixed ^ (mixed >> 31)
    }
  }

  private static let fragments = [
    "{{", "}}", "{%", "%}", "{#", "#}", "{%-", "-%}", "-}}", "{% if ", "{% elif stp %}",
    "{% else %}", "{% endif %}", "{% for x in ports %}", "{% endfor %}", "{% include 'a' %}",
    "{% include 'b' %}", " and ", " or ", " not ", " in ", " is defined", "== ", "<", "(", ")", "[",
    "]", ".", "|", ",", "\"", "'", "\\", "\n", "\t", "device", "ports", "conf", "loop.index", "x",
    "| hex", "| c_string", "| join(', ')", "| default(0)", "9223372036854775807", "0x", "-", "ä",
    "\u{0}", "{{ device }}", "{% for k, v in conf %}", "| identifier", "| length", "[0]", "true",
  ]

  private static let seeds = [
    "a {{ device | upper }} b\n",
    "{% if ports[0].index < 5 and not stp %}\nx\n{% else %}y{% endif %}",
    "{% for p in ports %}\n\t{{ loop.index }}: {{ p.name | identifier }},\n{% else %}-{% endfor %}\n",
    "{% for k, v in conf %}{{ k }}{% if v == 'loose' or v in [1, 2] %}!{% endif %}{% endfor %}",
    "{\n\t{% include 'a' %}\n} {# comment #}\n{%- include \"b\" -%}\n",
    "{{ conf['br-lan'].age|hex(8) }}",
    "{{ (((mtu))) }}{{ devise | default('x') | c_string }}{{ devise is not defined }}",
  ]

  private static let files = [
    "a": "a\n{% for n in numbers %}\n{% include 'b' %}\n{% endfor %}\n",
    "b": "{% if n is defined %}{{ n }}{% endif %}\n",
  ]

  private func mutated(_ random: inout Random) -> String {
    var bytes = Array((Self.seeds.randomElement(using: &random) ?? "").utf8)
    for _ in 0..<Int.random(in: 0...6, using: &random) {
      let start = Int.random(in: 0...bytes.count, using: &random)
      let end = min(bytes.count, start + Int.random(in: 0...8, using: &random))
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes.removeSubrange(start..<end)
      case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: start)
      case 2: bytes.insert(contentsOf: bytes[start..<end], at: start)
      case 3:
        let other = Self.seeds.randomElement(using: &random) ?? ""
        bytes.insert(contentsOf: other.utf8, at: start)
      default:
        let fragment = Self.fragments.randomElement(using: &random) ?? ""
        let count = Int.random(in: 0..<50, using: &random) == 0 ? 300 : 1
        for _ in 0..<count { bytes.insert(contentsOf: fragment.utf8, at: start) }
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private func expectPointsIntoSource(_ error: TemplateError, _ source: String) {
    let lines = (Self.files[error.template] ?? source).utf8.split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    #expect(lines.indices.contains(error.line - 1), "\(error) in \(source)")
    guard lines.indices.contains(error.line - 1) else { return }
    let width = String(decoding: Array(lines[error.line - 1]), as: UTF8.self).unicodeScalars.count
    #expect((1...width + 1).contains(error.column), "\(error) in \(source)")
    #expect(!error.problem.isEmpty)
  }

  @Test func tenThousandMutatedTemplatesAreRenderedOrRefused() {
    var limits = Template.Limits()
    limits.steps = 5000
    limits.outputBytes = 1 << 16
    var random = Random(state: 1)
    var (rendered, refused, failed) = (0, 0, 0)
    for _ in 0..<10_000 {
      let source = mutated(&random)
      let template: Template
      do throws(TemplateError) {
        template = try Template(source, name: "t", limits: limits) { Self.files[$0] }
      } catch {
        refused += 1
        expectPointsIntoSource(error, source)
        continue
      }
      let first = Result { () throws(TemplateError) in try template.render(with: templateVariables)
      }
      let again = Result { () throws(TemplateError) in try template.render(with: templateVariables)
      }
      #expect(first == again)
      switch first {
      case .success(let text):
        rendered += 1
        #expect(text.utf8.count <= limits.outputBytes)
      case .failure(let error):
        failed += 1
        expectPointsIntoSource(error, source)
      }
    }
    // All three ends are reached, or the mutations would not be worth much.
    #expect(rendered > 1000 && refused > 1000 && failed > 200, "\(rendered) \(refused) \(failed)")
  }

  @Test func deepAndLongSourcesEndAtALimit() {
    for (piece, before) in [
      ("(", "{{ "), ("[", "{{ "), ("not ", "{{ "), ("1|upper|", "{{ "), ("x.", "{{ "),
      ("x[", "{{ "), ("1 or ", "{{ "), ("x|default(", "{{ "), ("{% if 1 %}", ""),
      ("{% for x in [1] %}", ""), ("{% if 0 %}{% elif ", ""), ("{{", ""), ("{#", ""), ("- ", "{{ "),
    ] {
      let source = before + String(repeating: piece, count: 50_000)
      #expect(throws: TemplateError.self) { try Template(source, name: "t") }
    }
  }

  @Test func includesThatDoubleEndAtALimit() {
    let said = complaint(
      "{% include '1' %}",
      Dictionary(
        uniqueKeysWithValues: (1...15).map {
          ("\($0)", String(repeating: $0 == 15 ? "x" : "{% include '\($0 + 1)' %}", count: 8))
        }))
    #expect(said.contains("rendering takes more than 1000000 steps"), "\(said.prefix(200))")
  }
}
