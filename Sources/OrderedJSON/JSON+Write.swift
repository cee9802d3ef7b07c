// SPDX-License-Identifier: Apache-2.0

extension JSON {
  /// The value as JSON text; `pretty` puts each member on a line of its own.
  public func text(pretty: Bool = false) -> String {
    var writer = Writer(pretty: pretty)
    writer.write(self, depth: 0)
    return String(decoding: writer.out, as: UTF8.self)
  }

  private struct Writer {
    let pretty: Bool
    var out: [UInt8] = []

    mutating func write(_ value: JSON, depth: Int) {
      switch value {
      case .null: put("null")
      case .bool(let value): put(value ? "true" : "false")
      case .int(let value): put(String(value))
      case .double(let value): put(value.isFinite ? String(value) : "null")
      case .string(let value): quote(value)
      case .array(let elements):
        list(elements, "[", "]", depth) { writer, element in writer.write(element, depth: depth + 1)
        }
      case .object(let object):
        list(object.members, "{", "}", depth) { writer, member in
          writer.quote(member.key)
          writer.put(writer.pretty ? ": " : ":")
          writer.write(member.value, depth: depth + 1)
        }
      }
    }

    private mutating func list<Element>(
      _ elements: [Element], _ open: String, _ close: String, _ depth: Int,
      _ each: (inout Writer, Element) -> Void
    ) {
      put(open)
      for (index, element) in elements.enumerated() {
        if index > 0 { put(",") }
        newline(depth + 1)
        each(&self, element)
      }
      if !elements.isEmpty { newline(depth) }
      put(close)
    }

    private mutating func newline(_ depth: Int) {
      guard pretty else { return }
      out.append(UInt8(ascii: "\n"))
      out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
    }

    private mutating func put(_ text: String) { out.append(contentsOf: text.utf8) }

    private mutating func quote(_ text: String) {
      out.append(UInt8(ascii: "\""))
      for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "\""): put("\\\"")
        case UInt8(ascii: "\\"): put("\\\\")
        case UInt8(ascii: "\n"): put("\\n")
        case UInt8(ascii: "\t"): put("\\t")
        case UInt8(ascii: "\r"): put("\\r")
        case 0..<0x20: put("\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16))
        default: out.append(byte)
        }
      }
      out.append(UInt8(ascii: "\""))
    }
  }
}
