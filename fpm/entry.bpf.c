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
/*
 * A jump to a slot known beforehand is an instruction that the kernel rewrites with each new generation;
 * one by a register goes through a retpoline, 8 ns. The first interfaces are those of the hardware.
 */
#define jump_of(number)                                                                            \
	case number:                                                                               \
		asm volatile("r1 = %0\n\tr2 = %1\n\tr3 = " #number "\n\tcall 12"                   \
			     :                                                                     \
			     : "r"(context), "r"(&fpd_slot)                                        \
			     : "r0", "r1", "r2", "r3", "r4", "r5", "memory");                      \
		break
#define jumps_of(tens)                                                                             \
	jump_of(tens##0);                                                                          \
	jump_of(tens##1);                                                                          \
	jump_of(tens##2);                                                                          \
	jump_of(tens##3);                                                                          \
	jump_of(tens##4);                                                                          \
	jump_of(tens##5);                                                                          \
	jump_of(tens##6);                                                                          \
	jump_of(tens##7);                                                                          \
	jump_of(tens##8);                                                                          \
	jump_of(tens##9)

SEC("xdp") int fpd_entry_xdps(struct xdp_md *context)
{
	u32 interface = context->ingress_ifindex;
	switch (interface) {
		jumps_of();
		jumps_of(1);
		jumps_of(2);
		jumps_of(3);
	default:
		bpf_tail_call(context, &fpd_slot, interface);
	}
	return XDP_PASS;
}

SEC("tc") int fpd_entry_tc(void *context)
{
	bpf_tail_call(context, &fpd_slot, 0);
	return TC_NEXT;
}

/*
 * In a slot that is given up. Taking a program out of a slot has the kernel wait, some ten milliseconds, for
 * those that still run it; putting another in does not.
 */
SEC("xdp") int fpd_idle_xdp(void *context)
{
	(void)context;
	return XDP_PASS;
}

SEC("tc") int fpd_idle_tc(void *context)
{
	(void)context;
	return TC_NEXT;
}

char fp_license[] SEC("license") = "GPL";
