# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The oracle of docs/oracle.md in networks that only these kernels can build.

# oracle KIND TRIAL: what fpd makes of them is what Linux does.
oracle() {
  reads_live || skip 'programs cannot read the memory of this kernel'
  [[ -x /fpd-machine/fporacle ]] || skip 'fporacle was not built'
  FPD_BIN=/usr/sbin/fpd FPCTL_BIN=/usr/bin/fpctl timeout 280 /fpd-machine/fporacle \
    --kind "$1" --first "$2" --trials 1 --shrink 0 || fail "trial $2 differs"
}

test_oracleWithVLANsOnXDP() { oracle vlans 0; }

test_oracleWithVLANsOnTC() { oracle vlans 1; }

test_oracleWithVRFOnXDP() { oracle vrf 0; }

test_oracleWithVRFOnTC() { oracle vrf 1; }
