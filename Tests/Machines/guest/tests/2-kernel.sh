# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# fpd as such on this kernel.

test_fpdConvergesOrSaysWhatItLacks() {
  start_fpd
  ctl wait --timeout 60
  local status
  status=$(ctl status --json)
  jq . <<<"$status"
  jq -e '.state == "converged" or (.state == "degraded" and (.problems | length > 0))' \
    <<<"$status" || fail 'neither converged nor degraded with a reason'
}

test_kernelViewLoads() {
  start_fpd
  ctl wait --timeout 60
  ctl status --json | has_all_it_can || { ctl status; fail 'the view did not load'; }
}

test_memoryStaysUnderFortyMegabytes() {
  start_fpd
  ctl wait --timeout 60
  local kilobytes
  kilobytes=$(peak_memory)
  ((kilobytes < 40960)) || fail "$kilobytes kB"
}

test_twoDaemonsRunSideBySide() {
  start_fpd
  local other=$LAB/other
  mkdir "$other"
  unshare --net fpd --socket "$other/fpd.sock" --state-dir "$other/state" \
    --cache-dir /run/fpd-cache >"$other/log" 2>&1 &
  local second=$!
  until_within 30 fpctl --socket "$other/fpd.sock" wait --timeout 1 || fail "$(<"$other/log")"
  ip link add eth0 type dummy
  expect '.interfaces.eth0 != null'
  fpctl --socket "$other/fpd.sock" graph --json | jq -e '.interfaces.eth0 == null'
  kill "$second"
  wait "$second"
}

test_nothingIsLeftAfterTheEnd() {
  local before after
  before=$(bpftool -j prog show | jq length)
  start_fpd
  ctl wait --timeout 60
  stop_fpd
  after=$(bpftool -j prog show | jq length)
  ((before == after)) || fail "$before programs before, $after after"
  [[ ! -e $LAB/fpd.sock ]] || fail 'the socket is still there'
}

# The kernel tells the types of a module only while it is loaded: fpd must see what a module does that
# came after fpd.
test_rulesOfModulesLoadedLaterAreSeen() {
  local module
  for module in iptable_filter iptable_nat ip_tables ip6_tables x_tables nf_tables nf_nat; do
    modprobe -r "$module" 2>/dev/null || true
  done
  if [[ -e /sys/module/x_tables ]]; then fail "x_tables is in use: $(lsmod | grep x_tables)"; fi
  start_fpd
  router
  cable eth0 10.0.0.1/24
  expect '.interfaces.eth0.graph | has("router") and (has("filter") | not)'
  iptables-legacy -A FORWARD -s 192.0.2.0/24 -j DROP
  expect '.interfaces.eth0.graph.filter.conf | .rules == 1 and .backends == ["iptables-legacy"]'
  iptables-legacy -A FORWARD -s 192.0.2.1 -j DROP
  expect '.interfaces.eth0.graph.filter.conf.rules == 2'
  iptables-legacy -t nat -A POSTROUTING -o eth0 -j MASQUERADE
  expect "$(translates eth0)"
  iptables-legacy -t nat -F
  iptables-nft -A FORWARD -s 198.51.100.0/24 -j DROP
  expect '.interfaces.eth0.graph.filter.conf.rules == 3'
}
