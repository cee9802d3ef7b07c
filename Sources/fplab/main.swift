// SPDX-License-Identifier: Apache-2.0
import Glibc
import Lab

let usage = """
  usage: fplab COMMAND
    demo               a router and a bridge with plain commands: how much faster with fpd, and why
    bench [--quick] [--only links|rules|routes|programs|firewall]... [--output DIRECTORY]
                       how soon fpd follows, and what it costs, at scale
    bench speed [--quick] [--only PART]... [--output DIRECTORY]
                       how many packets a CPU forwards and how long they take, with fpd and without;
                       parts: router, bridge, gateway, nat, punt, tcp, cores, sizes, scale, latency,
                       pods, chain, mix, swaps
    paper [DIRECTORY]  compares a benchmark's kept results with those of the LinuxFP paper
    charts [DIRECTORY] draws the pictures of a benchmark's kept results anew
    soak [--minutes N] [--seed N] [--output FILE]
                       an hour of traffic and changes: nothing is lost, and nothing grows
    shell [TOPOLOGY]   a lab to step into by hand
  """

do {
  let arguments = Array(CommandLine.arguments.dropFirst())
  switch arguments.first {
  case "demo": try Demo.run()
  case "bench" where arguments.dropFirst().first == "speed":
    try Speed.run(Array(arguments.dropFirst(2)))
  case "bench": try Bench.run(Array(arguments.dropFirst()))
  case "paper": try Report.paper(Array(arguments.dropFirst()))
  case "charts": try Report.draw(Array(arguments.dropFirst()))
  case "soak": try Soak.run(Array(arguments.dropFirst()))
  case "shell": try Shell.run(Array(arguments.dropFirst()))
  case "--help", "-h", "help": Terminal.line(usage)
  default:
    Terminal.complain(usage)
    exit(2)
  }
} catch {
  Terminal.complain("fplab: \(error)")
  exit(1)
}
