// SPDX-License-Identifier: Apache-2.0

/// The names a mistyped word probably meant: few, and none when nothing is close.
public func nearest(to word: String, among names: some Sequence<String>) -> [String] {
  let typed = Array(word.lowercased().utf8.prefix(64))
  let reach = max(1, typed.count / 3)
  let close = names.compactMap { name -> (distance: Int, name: String)? in
    let known = Array(name.lowercased().utf8.prefix(64))
    let distance = edits(from: typed, to: known)
    if distance <= reach { return (distance, name) }
    let isBeginning = typed.count >= 3 && known.starts(with: typed)
    return isBeginning ? (reach + 1, name) : nil
  }
  let best = close.map(\.distance).min()
  return close.filter { $0.distance == best }.map(\.name).sorted().prefix(3).map { $0 }
}

/// "; did you mean 'status'?", or nothing when no name is close.
public func suggestion(for word: String, among names: some Sequence<String>) -> String {
  let close = nearest(to: word, among: names).map { "'\($0)'" }
  return close.isEmpty ? "" : "; did you mean \(close.joined(separator: " or "))?"
}

/// How many letters must be changed, added, dropped or swapped with their neighbour.
private func edits(from left: [UInt8], to right: [UInt8]) -> Int {
  var before: [Int] = []
  var last = Array(0...right.count)
  for row in left.indices {
    var now = [row + 1]
    for column in right.indices {
      let change = last[column] + (left[row] == right[column] ? 0 : 1)
      var best = min(change, last[column + 1] + 1, now[column] + 1)
      if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
        best = min(best, before[column - 1] + 1)
      }
      now.append(best)
    }
    (before, last) = (last, now)
  }
  return last[right.count]
}
