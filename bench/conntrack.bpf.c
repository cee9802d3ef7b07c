// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A yardstick: each packet's connection is looked up in the kernel's table by the kernel's own function, and let
 * go; then everything goes to one device, without a look at it. What a look-up costs at least, with the cache
 * misses that a large table brings.
 */
#include "packet.h"

const volatile u32 egress = 0;

struct nf_conn {
	u64 unread; /* libbpf wants a whole type */
};
struct tuple {
	u32 source;
	u32 destination;
	u16 source_port;
	u16 destination_port;
};
struct options {
	s32 network; /* -1: that of the device */
	s32 error;
	u8 protocol;
	u8 direction;
	u8 reserved[2];
};

extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *context, struct tuple *tuple, u32 size,
					 struct options *options, u32 options_size)
	__attribute__((section(".ksyms")));
extern void bpf_ct_release(struct nf_conn *connection) __attribute__((section(".ksyms")));

SEC("xdp") int bench_conntrack(struct xdp_md *context)
{
	struct ethernet *eth = (void *)(long)context->data;
	struct ipv4 *ip = (void *)(eth + 1);
	struct udp *udp = (void *)(ip + 1);

	if ((void *)(udp + 1) > (void *)(long)context->data_end)
		return XDP_PASS;
	struct tuple tuple = { ip->source, ip->destination, udp->source, udp->destination };
	struct options options = { .network = -1, .protocol = ip->protocol };
	struct nf_conn *connection =
		bpf_xdp_ct_lookup(context, &tuple, sizeof(tuple), &options, sizeof(options));
	if (!connection)
		return XDP_PASS;
	bpf_ct_release(connection);
	return (int)bpf_redirect(egress, 0);
}

char terms[] SEC("license") = "GPL";
