// SPDX-License-Identifier: Apache-2.0
import Glibc

// A reader that has seen enough (`fpctl graph | head`) ends the output, not the program by a signal.
signal(SIGPIPE, SIG_IGN)
exit(Fpctl.run(Array(CommandLine.arguments.dropFirst())))
