// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The chain as functions that are called one after the other. */
#include "chain.h"

static __attribute__((noinline)) int step(struct xdp_md *context, u32 place)
{
	return is_fine(context, place & (LONGEST - 1));
}

SEC("xdp") int bench_chain_calls(struct xdp_md *context)
{
	CHAIN_OF(step);
}

char terms[] SEC("license") = "GPL";
