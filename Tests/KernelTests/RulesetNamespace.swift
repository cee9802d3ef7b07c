// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// A network namespace that exists as long as one thread is in it: nothing to clean up, even when a
/// test crashes.
struct RulesetNamespace: Sendable {
  struct Failure: Error, CustomStringConvertible { let description: String }

  /// Runs `body` on a thread of its own in a new namespace. What it opens and starts is in there.
  static func with<Result: Sendable>(
    _ body: @escaping @Sendable (RulesetNamespace) throws -> Result
  ) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      let thread = Thread {
        guard unshare(CLONE_NEWNET) == 0 else {
          let words = String(cString: strerror(errno))
          continuation.resume(
            throwing: Failure(description: "no new network namespace: \(words); root is needed"))
          return
        }
        continuation.resume(with: Swift.Result { try body(RulesetNamespace()) })
      }
      thread.stackSize = 4 << 20
      thread.start()
    }
  }

  /// Runs a shell script in the namespace and returns what it writes; throws unless it exits with 0.
  @discardableResult
  func run(_ script: String) throws -> String {
    var pipes: [Int32] = [0, 0]
    guard pipe2(&pipes, O_CLOEXEC) == 0 else { throw Failure(description: "no pipe") }
    defer { close(pipes[0]) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 2)
    var arguments: [UnsafeMutablePointer<CChar>?] = ["sh", "-ec", script].map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var child: pid_t = 0
    let code = posix_spawn(&child, "/bin/sh", &actions, nil, &arguments, environ)
    close(pipes[1])
    guard code == 0 else { throw Failure(description: "no shell: \(String(cString: strerror(code)))") }
    let output = FileHandle(fileDescriptor: pipes[0], closeOnDealloc: false).readDataToEndOfFile()
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    let text = String(decoding: output, as: UTF8.self)
    guard status == 0 else {
      throw Failure(description: "\(script.prefix(400)): status \(status): \(text)")
    }
    return text
  }
}
