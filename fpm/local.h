/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Packets for the machine itself: what is handed on should cost next to nothing.
 *
 * Handing a packet to the kernel is always right. So a destination that was found to be the machine's own
 * is handed on the next few times without another look at anything but whether routes have changed; a
 * copy that is out of date could only leave to the kernel what might have been forwarded.
 *
 * Nothing is known of the frame yet: where it holds no IPv4, or ends before, some other number is taken for
 * the address.
 */
#ifndef FPM_LOCAL_H
#define FPM_LOCAL_H

#include "live/network.h"
#include "packet.h"

enum {
	LOCAL_PLACES_BITS = 6,
	LOCAL_TIMES = 32,
	LOCAL_ADDRESS = 30, /* in the frame */
};

struct own_address {
	u32 address;
	u32 times;  /* how often it is still taken for granted */
	u32 routes; /* which change of routes was the last */
	u32 spare;
};

struct {
	map_number(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	map_number(max_entries, 1 << LOCAL_PLACES_BITS);
	map_type(key, u32);
	map_type(value, struct own_address);
} fpd_local SEC(".maps");

fp_inline u32 fp_local_address(const void *frame)
{
	return (u32)live_word((u64)frame + LOCAL_ADDRESS);
}

fp_inline u32 fp_local_routes(u64 device)
{
	return live(live(device, net_device, nd_net), net, fib_seq);
}

fp_inline struct own_address *fp_local_place(u32 address)
{
	u32 place = address * 0x9e3779b1u >> (32 - LOCAL_PLACES_BITS);
	return bpf_map_lookup_elem(&fpd_local, &place);
}

/* Whether the destination was the machine's own a few packets ago, on the way in by `device`. */
fp_inline int fp_local_is_known(const void *frame, u64 device)
{
	u32 address = fp_local_address(frame);
	struct own_address *own = fp_local_place(address);
	if (!own || own->address != address || !own->times ||
	    own->routes != fp_local_routes(device))
		return 0;
	own->times--;
	return 1;
}

fp_inline void fp_local_remember(const void *frame, u64 device)
{
	u32 address = fp_local_address(frame);
	struct own_address *own = fp_local_place(address);
	if (!own)
		return;
	own->address = address;
	own->times = LOCAL_TIMES;
	own->routes = fp_local_routes(device);
}

#endif
