// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Counts and drops the generator's frames, and passes everything else to the host. A frame that arrives
 * is marked in a bitmap of all numbers, so that what is lost, late and doubled is known exactly.
 *
 * Nothing here is atomic: a veth with one queue has one NAPI, which runs on one CPU at a time.
 */
#include "arrivals.h"

const volatile struct load_sink config = {};

/* A bit for each frame's number. */
struct {
	map_number(type, MAP_ARRAY);
	map_number(max_entries, 1);
	map_number(map_flags, 1024);
	map_type(key, u32);
	map_type(value, u64);
} seen SEC(".maps");

/* The number that the latest frame of each flow must exceed. */
struct {
	map_number(type, MAP_ARRAY);
	map_number(max_entries, 1);
	map_number(map_flags, 1024);
	map_type(key, u32);
	map_type(value, u64);
} latest SEC(".maps");

fp_inline _Bool is_damaged(const struct ipv4 *ip)
{
	const u16 *words = (const void *)ip;
	u32 sum = 0;

	for (u32 i = 0; i < sizeof(*ip) / sizeof(*words); i++)
		sum += words[i];
	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	return (u16)sum != 0xffff || !ip->ttl;
}

fp_inline void track(struct load_arrivals *count, const struct load_mark *mark)
{
	u32 flow = mark->flow, place = (u32)(mark->number / LOAD_WORD_FRAMES);
	u64 number = mark->number, bit = 1ull << (number % LOAD_WORD_FRAMES);
	u64 *word = bpf_map_lookup_elem(&seen, &place);
	u64 *last = bpf_map_lookup_elem(&latest, &flow);

	if (number >= config.frames || flow >= config.flows || !word || !last) {
		count->beyond++;
		return;
	}
	if (*word & bit) {
		count->duplicated++;
		return;
	}
	*word |= bit;
	if (number + 1 < *last)
		count->reordered++;
	else
		*last = number + 1;
}

struct {
	map_number(type, MAP_ARRAY);
	map_number(max_entries, LOAD_DELAYS);
	map_number(map_flags, 1024);
	map_type(key, u32);
	map_type(value, u64);
} delays SEC(".maps");

fp_inline u32 delay_bucket(u64 delay)
{
	u32 power = 0;

	for (u32 step = 32; step; step >>= 1)
		if (delay >> power >> step)
			power += step;
	if (power < LOAD_DELAY_BITS)
		return (u32)delay;
	u32 bucket = (power - LOAD_DELAY_BITS) * LOAD_DELAY_STEPS +
		     (u32)(delay >> (power - LOAD_DELAY_BITS));
	return bucket < LOAD_DELAYS ? bucket : LOAD_DELAYS - 1;
}

fp_inline void measure(struct load_arrivals *count, const struct load_mark *mark)
{
	u64 *departure = departure_of(mark->number);

	if (!departure)
		return;
	u64 delay = bpf_ktime_get_ns() - *departure;
	u32 bucket = delay_bucket(delay);
	u64 *delayed = bpf_map_lookup_elem(&delays, &bucket);

	count->delay += delay;
	if (delayed)
		++*delayed;
}

SEC("xdp") int load_sink(struct xdp_md *context)
{
	struct load_arrivals *count = count_of_arrivals();
	struct marked frame;

	if (!count)
		return XDP_ABORTED;
	if (!is_marked(context, config.port, &frame)) {
		count->others++;
		return XDP_PASS;
	}
	if (frame.mark->number >= count->newest)
		count->newest = frame.mark->number + 1;
	if (config.flows) {
		track(count, frame.mark);
		if (is_damaged(frame.ip))
			count->damaged++;
	}
	if (config.timed)
		measure(count, frame.mark);
	count->bytes += (u64)(frame.end - (void *)frame.eth);
	count->frames++;
	return XDP_DROP;
}

char terms[] SEC("license") = "GPL";
