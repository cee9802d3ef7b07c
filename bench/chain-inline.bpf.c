// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The chain as fpd's programs are made: all of it in one function. */
#include "chain.h"

SEC("xdp") int bench_chain_inline(struct xdp_md *context)
{
	CHAIN_OF(is_fine);
}

char terms[] SEC("license") = "GPL";
