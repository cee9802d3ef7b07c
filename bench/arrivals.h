/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What has arrived of the generator's frames, and how they are told from others.
 */
#ifndef BENCH_ARRIVALS_H
#define BENCH_ARRIVALS_H

#include "packet.h"
#include "load.h"

struct {
	map_number(type, MAP_ARRAY);
	map_number(max_entries, 1);
	map_number(map_flags, 1024); /* BPF_F_MMAPABLE */
	map_type(key, u32);
	map_type(value, struct load_arrivals);
} arrivals SEC(".maps");

/* When the latest frames left: CLOCK_MONOTONIC, by their numbers. */
struct {
	map_number(type, MAP_ARRAY);
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, u64);
} departures SEC(".maps");

fp_inline u64 *departure_of(u64 number)
{
	u32 place = (u32)number % LOAD_DEPARTURES;
	return bpf_map_lookup_elem(&departures, &place);
}

fp_inline struct load_arrivals *count_of_arrivals(void)
{
	u32 first = 0;
	return bpf_map_lookup_elem(&arrivals, &first);
}

/* A frame's headers, and the generator's mark behind them. */
struct marked {
	struct ethernet *eth;
	struct ipv4 *ip;
	struct load_mark *mark;
	void *end;
};

/* Whether it is one of the generator's frames for `port`. */
fp_inline _Bool is_marked(struct xdp_md *context, u32 port, struct marked *frame)
{
	struct ethernet *eth = (void *)(long)context->data;
	struct ipv4 *ip = (void *)(eth + 1);
	struct udp *udp = (void *)(ip + 1);
	struct load_mark *mark = (void *)(udp + 1);
	void *end = (void *)(long)context->data_end;

	if ((void *)(mark + 1) > end || eth->type != network16(TYPE_IPV4) ||
	    ip->version_length != VERSION_4_NO_OPTIONS || ip->protocol != UDP ||
	    udp->destination != network16((u16)port) || mark->magic != LOAD_MAGIC)
		return 0;
	*frame = (struct marked){ .eth = eth, .ip = ip, .mark = mark, .end = end };
	return 1;
}

#endif
