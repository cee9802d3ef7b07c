#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the tests share: runs one of them in the network namespace it was started in, with an fpd of
# its own. usage: lab.sh FILE FUNCTION, with LAB naming a folder for sockets and state.
set -euo pipefail
file=$1
name=$2
mkdir -p "$LAB"
daemon=

# Fails the test with a reason; SKIP is for what this kernel does not have.
fail() { printf 'FAILED: %s\n' "$*"; exit 1; }
skip() { printf '%s\n' "$*"; exit 77; }

ctl() { fpctl --socket "$LAB/fpd.sock" "$@"; }

# Tries a command until it succeeds or SECONDS have passed.
until_within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    if ((SECONDS >= deadline)); then return 1; fi
    # There is nothing to be woken by: the pause keeps the poll cheap.
    sleep 0.1
  done
}

# The cache is common to all tests: under emulation compiling takes a second, and the largest programs half a minute.
start_fpd() {
  fpd --socket "$LAB/fpd.sock" --state-dir "$LAB/state" --cache-dir /run/fpd-cache \
    "$@" >"$LAB/fpd.log" 2>&1 &
  daemon=$!
  if ! until_within 120 answers; then fail "fpd does not answer within 120 s"; fi
}

answers() {
  kill -0 "$daemon" 2>/dev/null || fail 'fpd ended by itself'
  ctl wait --timeout 1 >/dev/null 2>&1
}

# The most memory fpd had at any time, in kB.
peak_memory() { awk '/^VmHWM/ { print $2 }' "/proc/$daemon/status"; }

stop_fpd() {
  if [[ -n $daemon ]]; then
    kill -TERM "$daemon"
    local status=0
    wait "$daemon" || status=$?
    daemon=
    ((status == 0)) || fail "fpd ended with status $status after SIGTERM"
  fi
}

# Whether this kernel has a module, loaded or not; loads it.
needs_module() {
  modprobe "$1" 2>/dev/null || skip "this kernel has no $1"
}

# cable NAME [ADDRESS]: a veth device with its peer far-NAME, both up.
cable() {
  ip link add "$1" type veth peer name "far-$1"
  ip link set "$1" up
  ip link set "far-$1" up
  if [[ -n ${2:-} ]]; then ip address add "$2" dev "$1"; fi
}

router() {
  sysctl -q -w net.ipv4.ip_forward=1
}

# expect FILTER: the graph, once it corresponds to the kernel, satisfies the jq filter.
expect() {
  ctl wait --timeout 60 >/dev/null || fail 'fpctl wait did not answer in 60 s'
  ctl graph --json >"$LAB/graph.json"
  if ! jq -e "$1" "$LAB/graph.json" >/dev/null; then
    jq . "$LAB/graph.json"
    fail "the graph does not satisfy: $1"
  fi
}

# reason INTERFACE REASON [DETAIL]: a jq filter for "REASON stands in the interface's slow_path".
reason() {
  local detail=${3:+" and .detail == \"$3\""}
  printf '[.interfaces["%s"].slow_path[] | select(.reason == "%s"%s)] | length > 0' \
    "$1" "$2" "${detail:-}"
}

no_reason() {
  printf '(.interfaces["%s"] | type == "object") and ([.interfaces["%s"].slow_path[] |
    select(.reason == "%s")] | length == 0)' "$1" "$1" "$2"
}

# translates INTERFACE: a jq filter for "addresses are translated on the way of its packets", by programs or not.
translates() {
  printf '(.interfaces["%s"] | .graph.conntrack.conf.nat or
    ([.slow_path[].reason] | contains(["nat", "conntrack"])))' "$1"
}

on_exit() {
  local status=$?
  if ((status != 0 && status != 77)) && [[ -e $LAB/fpd.log ]]; then
    echo '--- fpd says:'
    tail -n 20 "$LAB/fpd.log"
  fi
  if [[ -n $daemon ]]; then kill -KILL "$daemon" 2>/dev/null || true; fi
  remove_hosts
  exit "$status"
}
trap on_exit EXIT

# shellcheck source=/dev/null
source "$(dirname "$0")/frames.sh"
ip link set lo up
# shellcheck source=/dev/null
source "$file"
"$name"
stop_fpd
