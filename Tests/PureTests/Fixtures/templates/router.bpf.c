/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * br-lan: bridge -> filter -> router.
 */
#include "helpers.h"

enum {
	IFINDEX = 7,
	ROUTER_TABLE = 0x000000fe,
	BRIDGE_PORTS = 3,
};

/* 1 of 3: eth0.100 */
struct port eth0_x2e100 = {
	.index = 3,
	.vlans = { 1, 100 },
	.forwarding = true,
};

/* 2 of 3: eth0-100 */
struct port eth0_x2d100 = {
	.index = 4,
	.forwarding = false,
};

/* 3 of 3: veth_a */
struct port veth_a = {
	.index = 12,
	.forwarding = true,
};

static const char device[] = "br-lan";

static const char policy[] = "accept";

SEC("xdp")
int br_x2dlan_entry(struct context *context)
{
	if (context->type == PROTOCOL_STP)
		return ACTION_PASS;

	switch (context->ingress) {
	case 3:
		if (context->multicast)
			return ACTION_PASS;

		break;
	case 4:
		return ACTION_PASS; /* eth0-100 does not forward */
	case 12:
		if (context->multicast)
			return ACTION_PASS;

		break;
	}
	if (filter(context) == VERDICT_DROP)
		return ACTION_DROP;

	if (!reverse_path_is(context, IFINDEX))
		return ACTION_PASS;
	return route(context, ROUTER_TABLE);
}
