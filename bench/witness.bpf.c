// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Takes the generator's frames off a device and writes down, for each by its number, where it came and
 * how: one byte in a table that the witnesses of all hosts share. Everything else passes to the host.
 */
#include "arrivals.h"

const volatile struct load_witness config = {};

struct outcomes {
	u8 of[LOAD_WORD_FRAMES];
};

struct {
	map_number(type, MAP_ARRAY);
	map_number(max_entries, 1);
	map_number(map_flags, 1024);
	map_type(key, u32);
	map_type(value, struct outcomes);
} outcomes SEC(".maps");

enum { PLACE_OF_STATION = 4 };

SEC("xdp") int load_witness(struct xdp_md *context)
{
	struct load_arrivals *count = count_of_arrivals();
	struct marked frame;

	if (!count)
		return XDP_ABORTED;
	if (!is_marked(context, config.port, &frame))
		return XDP_PASS;
	u64 number = frame.mark->number;
	u32 place = (u32)(number / LOAD_WORD_FRAMES);
	struct outcomes *known = bpf_map_lookup_elem(&outcomes, &place);

	if (number >= config.frames || !known) {
		count->beyond++;
		return XDP_DROP;
	}
	if (number >= count->newest)
		count->newest = number + 1;
	count->frames++;
	u8 *outcome = &known->of[number % LOAD_WORD_FRAMES];
	if (*outcome)
		count->duplicated++;
	*outcome = (u8)(config.host +
			(frame.eth->destination[PLACE_OF_STATION] & 1 ? LOAD_OTHER_STATION : 0) +
			(frame.ip->fragment & network16(FRAGMENTED) ? LOAD_IN_PIECES : 0));
	return XDP_DROP;
}

char terms[] SEC("license") = "GPL";
