/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What is attached to an interface for as long as it is accelerated: it hands each packet to the program
 * in the one slot of its own array and, as long as there is none, passes the packet on to the kernel. A
 * new generation is one update of that slot: no packet sees anything in between.
 */
#include "kernel/helpers.h"

enum { MAP_PROG_ARRAY = 3 };
enum { XDP_PASS = 2, TC_NEXT = -1 /* TCX_NEXT, TC_ACT_UNSPEC */ };

struct {
	map_number(type, MAP_PROG_ARRAY);
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, u32);
} fpd_slot SEC(".maps");

static long (*const bpf_tail_call)(void *context, void *array, u32 slot) = (void *)12;

SEC("xdp") int fpd_entry_xdp(void *context)
{
	bpf_tail_call(context, &fpd_slot, 0);
	return XDP_PASS;
}

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
};

/*
 * The same for many interfaces at once, each with its own slot: the kernel takes 8 to 16 ms for the first
 * interface that a program is attached to, and a tenth of one for the others.
 */
SEC("xdp") int fpd_entry_xdps(struct xdp_md *context)
{
	bpf_tail_call(context, &fpd_slot, context->ingress_ifindex);
	return XDP_PASS;
}

SEC("tc") int fpd_entry_tc(void *context)
{
	bpf_tail_call(context, &fpd_slot, 0);
	return TC_NEXT;
}

char fp_license[] SEC("license") = "GPL";
