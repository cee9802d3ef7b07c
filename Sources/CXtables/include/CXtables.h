/* SPDX-License-Identifier: Apache-2.0 */
/* libiptc: the rulesets of iptables-legacy, IPv4 and IPv6. */
#ifndef FPD_CXTABLES_H
#define FPD_CXTABLES_H

#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>

#endif
