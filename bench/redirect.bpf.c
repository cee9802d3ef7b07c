// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A yardstick: everything to one device, without a look at it. What the hook and the devices cost.
 */
#include "packet.h"

const volatile u32 egress = 0;

SEC("xdp") int bench_redirect(struct xdp_md *context)
{
	(void)context;
	return (int)bpf_redirect(egress, 0);
}

char terms[] SEC("license") = "GPL";
