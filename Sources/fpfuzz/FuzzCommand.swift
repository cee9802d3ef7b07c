// SPDX-License-Identifier: Apache-2.0
import Glibc
import Netlink

/// Throws kernel-like blobs, whole and damaged, at every parser: none may trap, hang or dawdle.
@main
enum FuzzCommand {
  static let usage = """
    usage: fpfuzz [--seed N] [--count N] [--corpus DIR]
           fpfuzz [--seed N] [--corpus DIR] --show N
           fpfuzz --record DIR | --measure ROUNDS

    Replays every blob of the corpus, then runs COUNT valid and COUNT mutated blobs (10000 each unless
    told otherwise) through all parsers. A blob that makes a parser trap or hang is named on standard
    error and ends the program; --show prints it, to be added to the corpus.

      --record DIR      write what this network namespace's kernel answers as a corpus
      --measure ROUNDS  read this network namespace's rulesets and print time and memory

    """

  static func main() {
    do {
      let options = try Options(CommandLine.arguments.dropFirst())
      if options.help {
        print(usage, terminator: "")
      } else if let directory = options.record {
        try Recording.write(to: directory)
      } else if let rounds = options.measure {
        try Measurement.run(rounds: rounds)
      } else {
        try fuzz(options)
      }
    } catch let error as Options.Wrong {
      complain("\(error.text)\n\(usage)")
      exit(2)
    } catch {
      complain("\(error)\n")
      exit(1)
    }
  }

  private static func fuzz(_ options: Options) throws {
    let corpus = try options.corpus.map(Corpus.read) ?? []
    let source = BlobSource(seed: options.seed, corpus: corpus.map(\.bytes))
    if let number = options.show {
      print(source.blob(number).bytes.hex)
      return
    }
    let run = FuzzRun(seed: options.seed)
    for (index, blob) in corpus.enumerated() {
      run.feed(blob.bytes, number: -1 - index, label: blob.name)
    }
    for number in 0..<2 * options.count {
      let blob = source.blob(number)
      run.feed(blob.bytes, number: number, label: blob.label)
    }
    print(run.report)
    if run.slow > 0 { exit(1) }
  }

  static func complain(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
  }
}

/// What the command line asks for.
struct Options {
  struct Wrong: Error { let text: String }

  var seed: UInt64 = 1
  var count = 10_000
  var corpus: String?
  var show: Int?
  var record: String?
  var measure: Int?
  var help = false

  init(_ arguments: some Sequence<String>) throws(Wrong) {
    var rest = arguments.makeIterator()
    while let argument = rest.next() {
      func value() throws(Wrong) -> String {
        guard let value = rest.next() else { throw Wrong(text: "\(argument) needs a value") }
        return value
      }
      func number<Number: FixedWidthInteger>() throws(Wrong) -> Number {
        let text = try value()
        guard let number = Number(text), number >= 0 else {
          throw Wrong(text: "\(argument): \(text) is no number from 0 on")
        }
        return number
      }
      switch argument {
      case "--seed": seed = try number()
      case "--count": count = try number()
      case "--corpus": corpus = try value()
      case "--show": show = try number()
      case "--record": record = try value()
      case "--measure": measure = try number()
      case "--help", "-h": help = true
      default: throw Wrong(text: "unknown argument \(argument)")
      }
    }
  }
}
