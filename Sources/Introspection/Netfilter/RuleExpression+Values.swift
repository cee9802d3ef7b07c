// SPDX-License-Identifier: Apache-2.0
import CNetlink
import Netlink

// What expressions hold: registers, comparisons, values and verdicts.

extension Attribute {
  /// A register as the kernel numbers them: 0 the verdict, 1 to 4 of 16 bytes, from 8 on of 4.
  var register: RuleExpression.Register? {
    switch big32 {
    case .some(0): .verdict
    case .some(let number) where (1...4).contains(number): .init(slot: UInt8(number - 1) * 4)
    case .some(let number) where (8..<24).contains(number): .init(slot: UInt8(number - 8))
    default: nil
    }
  }
}

extension Comparison {
  init?(number: UInt32) {
    guard let raw = UInt8(exactly: number) else { return nil }
    self.init(rawValue: raw)
  }
}

/// The value of NFTA_DATA_*: bytes or a verdict.
enum DataValue {
  case value(Bytes)
  case verdict(Verdict)

  init?(_ fields: Attributes) {
    for field in fields {
      switch field.type {
      case NFTA_DATA_VALUE:
        self = .value(field.payload)
        return
      case NFTA_DATA_VERDICT:
        guard let verdict = Verdict(field.nested) else { return nil }
        self = .verdict(verdict)
        return
      default: return nil
      }
    }
    return nil
  }
}

extension RegisterValue {
  /// A value of NFTA_DATA_* that is no verdict.
  init?(_ fields: Attributes) {
    guard case .value(let bytes) = DataValue(fields) else { return nil }
    self.init(bytes)
  }
}

extension Verdict {
  init?(_ fields: Attributes) {
    var code: Int32?
    var chain = ""
    for field in fields {
      switch field.type {
      case NFTA_VERDICT_CODE: code = field.big32.map(Int32.init(bitPattern:))
      case NFTA_VERDICT_CHAIN: chain = field.string
      case NFTA_VERDICT_CHAIN_ID: break
      default: return nil
      }
    }
    guard let code else { return nil }
    self =
      switch code {
      case 0: .drop
      case 1: .accept
      case -1: .continue
      case -2: .break
      case -3: .jump(chain)
      case -4: .goto(chain)
      case -5: .return
      case _ where code & 0xff == 3 && code > 0: .queue(UInt16(truncatingIfNeeded: code >> 16))
      default: .unknown(code)
      }
  }
}
