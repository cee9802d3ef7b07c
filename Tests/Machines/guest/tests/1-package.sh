# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The package on a running system: first, since the other tests use what it brings.

test_packageInstallsAndStartsNothing() {
  dpkg -i /fpd-machine/fpd.deb
  fpd --version | grep -F "$(dpkg-query -W -f '${Version}' fpd)"
  fpctl --version | grep -F "$(dpkg-query -W -f '${Version}' fpd)"
  if systemctl is-active fpd.service; then fail 'installing started the service'; fi
  if systemctl is-enabled fpd.service; then fail 'installing enabled the service'; fi
  if fpctl status; then fail 'somebody answers on the socket'; fi
}

# `start` returns when the service has announced that it is ready; the unit's hardening must not take
# anything from fpd that it needs: what fpd cannot read here it cannot read without the unit either.
test_serviceStartsHardenedAndAnnouncesReadiness() {
  systemctl start fpd.service || { journalctl -u fpd.service --no-pager | tail -n 30; fail 'start'; }
  systemctl is-active fpd.service
  local status
  status=$(fpctl status --json)
  jq . <<<"$status"
  has_all_it_can <<<"$status" || fail 'not converged under systemd'
  jq -e '.interfaces | map(.name) | index("lo") != null' <<<"$status"
}

test_reloadKeepsTheProcess() {
  local before after
  before=$(systemctl show -p MainPID --value fpd.service)
  systemctl reload fpd.service
  after=$(systemctl show -p MainPID --value fpd.service)
  systemctl is-active fpd.service
  [[ $before == "$after" && $before != 0 ]] || fail "process $before became $after"
  fpctl wait --timeout 60
}

test_upgradeRestartsARunningService() {
  local before after
  before=$(systemctl show -p MainPID --value fpd.service)
  dpkg -i /fpd-machine/fpd.deb
  after=$(systemctl show -p MainPID --value fpd.service)
  systemctl is-active fpd.service
  [[ $after != 0 && $before != "$after" ]] || fail "process $before became $after"
}

test_serviceStopsAndLeavesNoProgram() {
  systemctl stop fpd.service
  [[ $(systemctl show -p Result --value fpd.service) == success ]] || fail 'it did not end well'
  bpftool -j prog show | jq -e 'map(select((.name // "") | startswith("fpd"))) | length == 0' ||
    fail 'a program of fpd is still in the kernel'
}
