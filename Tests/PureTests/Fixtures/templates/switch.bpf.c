/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * sw"0: bridge.
 */
#include "helpers.h"

enum {
	IFINDEX = 2,
	BRIDGE_PORTS = 0,
};

static const char device[] = "sw\"0";

SEC("tc")
int sw_x220_entry(struct context *context)
{
	switch (context->ingress) {
	default: /* no ports */
		break;
	}
	/* No filter. */

	return ACTION_PASS;
}
