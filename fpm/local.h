/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Packets for the machine itself: what is handed on should cost next to nothing.
 *
 * Handing a packet to the kernel is always right. So a destination that was found to be the machine's own
 * is handed on the next few times without another look at anything but whether routes have changed; a
 * copy that is out of date could only leave to the kernel what might have been forwarded. Where connections
 * are followed the same destination may be that of answers which are translated and go on: there it is the
 * flow that is remembered.
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
	LOCAL_SOURCE = 26, /* in the frame */
	LOCAL_ADDRESS = 30,
	LOCAL_PORTS = 34,
};

struct own_address {
	u64 key;
	u32 times;  /* how often it is still taken for granted */
	u32 routes; /* which change of routes was the last */
};

struct {
	map_number(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	map_number(max_entries, 1 << LOCAL_PLACES_BITS);
	map_type(key, u32);
	map_type(value, struct own_address);
} fpd_local SEC(".maps");

/* 0 where the frame ends before: what that stands for is no address of a machine. */
fp_inline u64 fp_local_key(const void *frame, const void *end)
{
#if FOLLOWS_CONNECTIONS
	if (frame + LOCAL_PORTS + sizeof(u32) > end)
		return 0;
	u64 ports = *(const u32 *)(frame + LOCAL_PORTS);
	u64 addresses = *(const u32 *)(frame + LOCAL_SOURCE) |
			(u64) * (const u32 *)(frame + LOCAL_ADDRESS) << 32;
	return addresses ^ ports * 0x9e3779b97f4a7c15ULL;
#else
	if (frame + LOCAL_ADDRESS + sizeof(u32) > end)
		return 0;
	return *(const u32 *)(frame + LOCAL_ADDRESS);
#endif
}

fp_inline u32 fp_local_routes(u64 device)
{
	return live(live(device, net_device, nd_net), net, fib_seq);
}

fp_inline struct own_address *fp_local_place(u64 key)
{
	u32 place = (u32)(key ^ key >> 32) * 0x9e3779b1u >> (32 - LOCAL_PLACES_BITS);
	return bpf_map_lookup_elem(&fpd_local, &place);
}

/* Whether the destination was the machine's own a few packets ago, on the way in by `device`. */
fp_inline int fp_local_is_known(u64 key, u64 device)
{
	struct own_address *own = fp_local_place(key);
	if (!own || own->key != key || !own->times || own->routes != fp_local_routes(device))
		return 0;
	own->times--;
	return 1;
}

fp_inline void fp_local_remember(u64 key, u64 device)
{
	struct own_address *own = fp_local_place(key);
	if (!own)
		return;
	own->key = key;
	own->times = LOCAL_TIMES;
	own->routes = fp_local_routes(device);
}

#endif
