// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A yardstick: the shortest router that asks the kernel by bpf_fib_lookup() and looks at nothing else.
 */
#include "packet.h"

enum { FAMILY_IPV4 = 2 };

struct fib_parameters {
	u8 family;
	u8 protocol;
	u16 source_port;
	u16 destination_port;
	u16 length; /* in: of the packet; out: the path's MTU */
	u32 ifindex;
	u32 tos;
	u32 source[4];
	u32 destination[4];
	u32 vlan;
	u8 source_mac[MAC_SIZE];
	u8 destination_mac[MAC_SIZE];
};

static long (*const bpf_fib_lookup)(void *context, struct fib_parameters *parameters, int size,
				    u32 flags) = (void *)69;

SEC("xdp") int bench_forward(struct xdp_md *context)
{
	struct ethernet *eth = (void *)(long)context->data;
	struct ipv4 *ip = (void *)(eth + 1);
	struct fib_parameters route = { .family = FAMILY_IPV4 };

	if ((void *)(ip + 1) > (void *)(long)context->data_end || !is_plain(eth, ip))
		return XDP_PASS;
	route.protocol = ip->protocol;
	route.length = network16(ip->length);
	route.ifindex = context->ingress_ifindex;
	route.tos = ip->tos;
	route.source[0] = ip->source;
	route.destination[0] = ip->destination;
	if (bpf_fib_lookup(context, &route, sizeof(route), 0))
		return XDP_PASS;
	decrease_ttl(ip);
	__builtin_memcpy(eth->destination, route.destination_mac, MAC_SIZE);
	__builtin_memcpy(eth->source, route.source_mac, MAC_SIZE);
	return (int)bpf_redirect(route.ifindex, 0);
}

char terms[] SEC("license") = "GPL";
