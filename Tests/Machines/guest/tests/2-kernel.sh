# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# fpd as such on this kernel.

test_fpdConvergesOrSaysWhatItLacks() {
  start_fpd
  ctl wait --timeout 20
  local status
  status=$(ctl status --json)
  jq . <<<"$status"
  jq -e '.state == "converged" or (.state == "degraded" and (.problems | length > 0))' \
    <<<"$status" || fail 'neither converged nor degraded with a reason'
}

test_kernelViewLoads() {
  start_fpd
  ctl wait --timeout 20
  ctl status --json | jq -e '.state == "converged"' || { ctl status; fail 'the view did not load'; }
}

test_memoryStaysUnderFortyMegabytes() {
  start_fpd
  ctl wait --timeout 20
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
  ctl wait --timeout 20
  stop_fpd
  after=$(bpftool -j prog show | jq length)
  ((before == after)) || fail "$before programs before, $after after"
  [[ ! -e $LAB/fpd.sock ]] || fail 'the socket is still there'
}
