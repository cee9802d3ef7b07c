// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The rules alone, without a router around them: fpd_judge says what becomes of one packet, fpd_cost judges
 * one of many packets at each run, and fpd_floor does all that fpd_cost does but judge. In front of this
 * text stand a layout, the reasons, and the definitions of a ruleset's shape.
 */
#include "filter.h"

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

enum { PACKETS = 1024, XDP_PASS = 2 };

/* In front of an IPv4 packet: what it does not say of itself, and what was found out. */
struct filter_case {
	struct filter_key key;
	s32 outcome;
	u32 rule;
};

struct {
	map_number(type, 2); /* BPF_MAP_TYPE_ARRAY */
	map_number(max_entries, PACKETS);
	map_type(key, u32);
	map_type(value, struct filter_key);
} fpd_packets SEC(".maps");

struct bench_state {
	u64 next;
	u64 sum;
};

struct {
	map_number(type, 2); /* BPF_MAP_TYPE_ARRAY */
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, struct bench_state);
} fpd_state SEC(".maps");

/* The namespace that the program is run in. */
fp_inline u64 network_of(struct xdp_md *context)
{
	u64 device = (u64)live(live(behind(context), xdp_buff, rxq), xdp_rxq_info, dev);
	return (u64)live(device, net_device, nd_net);
}

SEC("xdp") int fpd_judge(struct xdp_md *context)
{
	struct filter_case *asked = (void *)(long)context->data;
	struct packet packet = { 0 };
	struct filter filter;
	packet.end = (void *)(long)context->data_end;
	packet.ipv4 = (void *)(asked + 1);
	packet.network = network_of(context);
	if ((void *)(packet.ipv4 + 1) > packet.end)
		return XDP_PASS;
	struct filter_key key = asked->key;
	fp_filter_read_network(&packet, &key);
	outcome result = GO_ON;
	filter.rule = FILTER_NONE;
	if (FILTER_USES_TRANSPORT)
		result = fp_filter_read_transport(&packet, &key);
	if (result == GO_ON)
		result = fp_filter_judge(&packet, &key, &filter);
	if (result == GO_ON || result == DROP)
		fp_filter_account(&filter, key.length);
	asked->key.mark = key.mark;
	asked->outcome = result;
	asked->rule = filter.rule;
	return XDP_PASS;
}

fp_inline struct filter_key *next_packet(struct bench_state **state)
{
	u32 index = 0;
	*state = bpf_map_lookup_elem(&fpd_state, &index);
	if (!*state)
		return 0;
	index = (*state)->next++ & (PACKETS - 1);
	return bpf_map_lookup_elem(&fpd_packets, &index);
}

SEC("xdp") int fpd_cost(struct xdp_md *context)
{
	struct packet packet = { 0 };
	struct filter filter;
	struct bench_state *state;
	struct filter_key *key = next_packet(&state);
	if (!key)
		return XDP_PASS;
	packet.context = context;
	packet.network = network_of(context);
	outcome result = fp_filter_judge(&packet, key, &filter);
	if (result == GO_ON || result == DROP)
		fp_filter_account(&filter, key->length);
	state->sum += result;
	return XDP_PASS;
}

SEC("xdp") int fpd_floor(struct xdp_md *context)
{
	struct bench_state *state;
	const struct filter_key *key = next_packet(&state);
	if (!key)
		return XDP_PASS;
	state->sum += key->source ^ key->source_mac ^ network_of(context);
	return XDP_PASS;
}

char fp_license[] SEC("license") = "GPL";
