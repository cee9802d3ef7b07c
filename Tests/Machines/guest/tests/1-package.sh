# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The package on a running system: installed first, since the other tests use what it brings.

test_packageInstallsAndDoesNotStartByItself() {
  dpkg -i /fpd-machine/fpd.deb
  fpd --version
  fpctl --version
}
