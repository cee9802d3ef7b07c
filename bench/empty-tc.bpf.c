// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A yardstick: nothing is done with a packet. What a program on TCX costs that has nothing in it.
 */
#include "packet.h"

SEC("tc") int bench_empty(void *context)
{
	(void)context;
	return -1;
}

char terms[] SEC("license") = "GPL";
