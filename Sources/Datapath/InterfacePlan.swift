// SPDX-License-Identifier: Apache-2.0

/// What is to run on one interface.
package struct InterfacePlan {
  package var interface: Int32
  package var name: String
  package var hook: Hook
  /// The program in C.
  package var source: String
  /// One that does the same and may be at hand while the other is being compiled.
  package var general: String?
  /// What its constant `config` begins with.
  package var config: [UInt8]
  /// What it judges packets by.
  package var rules: RuleMaps?

  package init(
    interface: Int32, name: String, hook: Hook, source: String, general: String? = nil,
    config: [UInt8] = [], rules: RuleMaps? = nil
  ) {
    self.interface = interface
    self.name = name
    self.hook = hook
    self.source = source
    self.general = general
    self.config = config
    self.rules = rules
  }
}
