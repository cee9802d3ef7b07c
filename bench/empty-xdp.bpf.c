// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A yardstick: nothing is done with a packet. What a program on XDP costs that has nothing in it.
 */
#include "packet.h"

SEC("xdp") int bench_empty(void *context)
{
	(void)context;
	return XDP_PASS;
}

char terms[] SEC("license") = "GPL";
