# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Last: the package goes.

test_removingStopsTheServiceAndPurgingLeavesNothing() {
  systemctl start fpd.service
  dpkg --remove fpd
  if systemctl is-active fpd.service; then fail 'it still runs'; fi
  [[ -e /etc/fpd/fpd.yaml ]] || fail 'removing took the configuration'
  dpkg --purge fpd
  local left
  left=$(find /etc /usr /var/cache /var/lib/systemd /run -xdev -path '*fpd*' \
    ! -path '/run/fpd-cache*' ! -path '/run/lab-*' ! -path '/run/systemd/units/*' 2>/dev/null)
  left=$(grep -v -e fpd-machine <<<"$left" || true)
  [[ -z $left ]] || fail "left behind: $left"
}
