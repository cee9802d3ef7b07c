#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016
# Hosts on cables, frames byte by byte, and what of them arrives where. lab.sh sources it.

# What the frames of a test begin their payload with: nobody else's do.
mark=66706474
# The Ethernet type that IEEE 802 leaves for experiments.
experimental=88b5
hosts=()
captures=()

remove_hosts() {
  local name
  if ((${#captures[@]})); then kill "${captures[@]}" 2>/dev/null || true; fi
  for name in "${hosts[@]}"; do ip netns delete "$(host_namespace "$name")" 2>/dev/null || true; done
}

host_namespace() { printf '%s-h%s' "$(basename "$LAB")" "$1"; }

# in_host N COMMAND...
in_host() {
  local namespace
  namespace=$(host_namespace "$1")
  shift
  ip netns exec "$namespace" "$@"
}

# host N: host N at the other end of the device pN; its MAC address ends in N.
host() {
  local namespace
  namespace=$(host_namespace "$1")
  hosts+=("$1")
  ip netns add "$namespace"
  ip netns exec "$namespace" sysctl -q -w net.ipv6.conf.default.disable_ipv6=1
  ip link add "p$1" address "02:00:00:00:01:0$1" type veth \
    peer name eth0 address "02:00:00:00:00:0$1" netns "$namespace"
  in_host "$1" ethtool -K eth0 gro on
  ip -n "$namespace" link set eth0 up
  ip link set "p$1" up
}

sender='
  my $device = shift;
  socket(my $s, 17, 3, 0) or die "socket: $!";
  my $request = pack("a16 x24", $device);
  ioctl($s, 0x8933, $request) or die "$device: $!";
  my $place = pack("S S l S C C a8", 17, 0, unpack("x16 l", $request), 0, 0, 6, "");
  for (@ARGV) { send($s, pack("H*", $_), 0, $place) or die "send: $!" }'

# send DEVICE HEX...: puts frames on a device, in this order.
send() { taskset -c 0 perl -e "$sender" "$@"; }

# in_host_send N HEX...: host N sends frames.
in_host_send() {
  local name=$1
  shift
  ip netns exec "$(host_namespace "$name")" taskset -c 0 perl -e "$sender" eth0 "$@"
}

# arrived FILE: the frames of a capture that bear our mark, in hexadecimal, one a line.
arrived() {
  perl -e '
    local $/; open(my $f, "<", shift) or die; my $all = <$f>;
    for (my $at = 24; $at + 16 <= length $all; ) {
      my $size = unpack("x8 L", substr($all, $at, 16));
      last if $at + 16 + $size > length $all;
      my $hex = unpack("H*", substr($all, $at + 16, $size));
      print "$hex\n" if index($hex, $ARGV[0]) >= 0;
      $at += 16 + $size;
    }' "$1" "$2"
}

# The MAC address of host N.
mac() { printf '02000000000%s' "$1"; }

# frame FROM TO ID [TAG...]: from host to host, with tags written as PROTOCOL+CONTROL, such as 8100000a.
frame() {
  local from=$1 to=$2 id=$3
  shift 3
  local head
  head="$(mac "$to")$(mac "$from")$(printf '%s' "$@")$experimental"
  printf '%s%s%s%0*d' "$head" "$mark" "$id" $((80 - ${#id})) 0
}

# ipv4_frame DESTINATION_MAC SOURCE_MAC SOURCE DESTINATION TTL ID [TAG...]: a UDP packet without a checksum.
ipv4_frame() {
  perl -e '
    my ($to, $from, $source, $destination, $ttl, $id, @tags) = @ARGV;
    my $data = pack("nnnn", 4000, 9, 8 + 24, 0) . pack("H*", "'"$mark"'" . $id) . "\0" x (24 - 4 - length($id) / 2);
    my @address = map { pack("C4", split /\./) } $source, $destination;
    my $header = pack("CCnnnCCn", 0x45, 0, 20 + length $data, 0x1234, 0x4000, $ttl, 17, 0) . join("", @address);
    my $sum = 0; $sum += $_ for unpack("n*", $header);
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    substr($header, 10, 2) = pack("n", ~$sum & 0xffff);
    print $to . $from . join("", @tags) . "0800" . unpack("H*", $header . $data);' "$@"
}

# Begins to record what arrives at every host.
record() {
  local name
  captures=()
  for name in "${hosts[@]}"; do
    rm -f "$LAB/h$name.pcap" "$LAB/h$name.capture"
    in_host "$name" tcpdump -Z root -i eth0 -Q in -U --immediate-mode -w "$LAB/h$name.pcap" \
      2>"$LAB/h$name.capture" &
    captures+=($!)
  done
  for name in "${hosts[@]}"; do
    until_within 30 grep -q 'listening on' "$LAB/h$name.capture" || fail "no capture at host $name"
  done
}

flushed() { [[ -n $(arrived "$LAB/h$1.pcap" "$2") ]]; }

# Returns when what was sent before has arrived: a frame has followed it on every cable.
flushes=0
flush() {
  local name last
  flushes=$((flushes + 1))
  last=$(printf 'feedfeed%08d' "$flushes")
  for name in "${hosts[@]}"; do
    send "p$name" "ffffffffffff02000000000f$experimental$last$(printf '%0*d' 80 0)"
  done
  for name in "${hosts[@]}"; do
    until_within 20 flushed "$name" "$last" || fail "host $name hears nothing"
  done
}

# observe FILE: what arrived since `record`, each line a host and a frame.
observe() {
  local name
  flush
  kill "${captures[@]}"
  wait "${captures[@]}" || true
  captures=()
  for name in "${hosts[@]}"; do arrived "$LAB/h$name.pcap" "$mark" | sed "s/^/h$name /"; done >"$1"
}

# counter INTERFACE JQ: one of fpd's counters, such as .forwarded or .punted["qinq"].
counter() {
  ctl stats --json | jq -r ".interfaces[] | select(.name == \"$1\") | $2.packets // 0"
}

# All of these interfaces run a program on this hook: accelerated HOOK INTERFACE...
accelerated() {
  local hook=$1 name
  shift
  ctl wait --timeout 100 >/dev/null || { ctl status; fail 'fpctl wait did not answer in 100 s'; }
  ctl status --json >"$LAB/status.json"
  for name in "$@"; do
    jq -e --arg name "$name" --arg hook "$hook" '.interfaces[] | select(.name == $name) |
      .accelerated and .hook == $hook' "$LAB/status.json" >/dev/null ||
      { ctl status; fail "no program runs on $name ($hook)"; }
  done
}

# start_fpd_on HOOK INTERFACE...: starts fpd with these interfaces on a hook.
start_fpd_on() {
  local hook=$1 name
  shift
  printf 'interfaces:\n' >"$LAB/fpd.yaml"
  for name in "$@"; do printf '  %s: {hook: %s}\n' "$name" "$hook" >>"$LAB/fpd.yaml"; done
  start_fpd --config "$LAB/fpd.yaml"
  accelerated "$hook" "$@"
}

# same A B: two observations are equal.
same() {
  diff -u "$1" "$2" || fail "with fpd ($2) another thing arrives than without ($1)"
}

# has OBSERVATION HOST FRAME
has() {
  grep -qxF "$2 $3" "$1" || { cat "$1"; fail "$2 did not get $3"; }
}

# lacks OBSERVATION HOST ID: no frame with this ID has come to a host.
lacks() {
  if grep -E "^$2 .*$mark$3" "$1"; then fail "$2 got frame $3"; fi
}

# without ID FILE: an observation less the frames with this ID.
without() { grep -v "$mark$1" "$2" || true; }

# grew BEFORE AFTER WHAT
grew() {
  (($2 > $1)) || { ctl stats; fail "$3 did not grow: $1, then $2"; }
}

# A status that tells of nothing missing, besides what this kernel cannot give.
has_all_it_can() {
  if reads_live; then
    jq -e '.state == "converged"' >/dev/null
  else
    jq -e '.state == "degraded" and [.problems[].what] == ["cannot-read-live"]' >/dev/null
  fi
}

# Kernels before 6.2 do not let programs read their memory.
reads_live() {
  case "$(uname -r)" in
    6.[01].* | [0-5].*) return 1 ;;
  esac
}
