// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The chain as programs of which each ends in a tail call of the next. */
#include "chain.h"

static long (*const bpf_tail_call)(void *context, void *programs, u32 index) = (void *)12;

#define FOR_EACH_LATER(do)                                                                                       \
	do                                                                                                       \
	(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13) do(14) do(15) do(16) do( \
		17) do(18) do(19) do(20) do(21) do(22) do(23) do(24) do(25) do(26) do(27) do(28) do(29) do(30) do(31)

#define declare(place) int bench_chain_##place(struct xdp_md *context);
#define entry(place) [place] = (void *)&bench_chain_##place,

FOR_EACH_LATER(declare)

enum { MAP_PROG_ARRAY = 3 };

struct {
	map_number(type, MAP_PROG_ARRAY);
	map_number(max_entries, LONGEST);
	map_number(key_size, sizeof(u32));
	__typeof__(int(void *)) *values[];
} chain SEC(".maps") = { .values = { FOR_EACH_LATER(entry) } };

fp_inline int step(struct xdp_md *context, u32 place)
{
	if (!is_fine(context, place))
		return XDP_ABORTED;
	if (place + 1 < length)
		bpf_tail_call(context, &chain, place + 1);
	return XDP_DROP;
}

SEC("xdp") int bench_chain_0(struct xdp_md *context)
{
	return step(context, 0);
}

#define later(place)                                                                               \
	SEC("xdp") int bench_chain_##place(struct xdp_md *context)                                 \
	{                                                                                          \
		return step(context, place);                                                       \
	}

FOR_EACH_LATER(later)

char terms[] SEC("license") = "GPL";
