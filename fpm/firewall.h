/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The firewall in front of the router: what the rules say to a packet that would be forwarded.
 *
 * Contract, Netfilter: base chains at prerouting, forward and postrouting see the packet as one, between the
 * route that was found and the device that sends it. It has been proven before that the rules are still
 * those that the program was made from (live/epoch.h).
 */
#ifndef FPM_FIREWALL_H
#define FPM_FIREWALL_H

#include "filter.h"
#include "live/device.h"

/* The name of a device, as rules compare it: 16 bytes, the rest of them zero. */
fp_inline void read_name(struct device device, u64 *name)
{
	const u64 place = OFFSET(net_device, name);
#pragma clang loop unroll(full)
	for (u32 i = 0; i < 2; i++) {
		name[i] = live_u32(device.address, place + i * WORD) |
			  (u64)live_u32(device.address, place + i * WORD + WORD / 2) << 32;
	}
}

#if FOLLOWS_CONNECTIONS && FILTER_UNTRACKS
/* What the rules have said of a packet holds if it is not tracked, or belongs to a connection, or is lost before. */
fp_inline outcome fp_firewall_untracked(struct connection *known, const struct filter_key *key,
					const struct filter *filter, outcome result)
{
	if (key->connection & CONNECTION_UNTRACKED) {
		/* it was routed, and judged, as what its connection makes of it */
		if (known->translates)
			return REASON_RULE_EFFECT;
		fp_connection_spare(known);
		return result;
	}
	if (known->stranger && (result != DROP || !fp_filter_is_untracked(filter)))
		return known->stranger;
	return result;
}
#endif

/* GO_ON, DROP or why the packet is the kernel's; `packet->egress` is the device that IP sends by. */
fp_inline outcome fp_firewall_judge(struct packet *packet, struct filter *filter)
{
#if FOLLOWS_CONNECTIONS
	struct filter_key *key = &packet->connection->key;
	key->packet_type = 0;
#else
	struct filter_key made = { 0 }, *key = &made;
#endif
	key->mark = packet->mark;
	fp_filter_read_network(packet, key);
	filter->length = key->length;
	filter->rule = FILTER_NONE;
	if (FILTER_USES_TRANSPORT) {
		outcome result = fp_filter_read_transport(packet, key);
		if (result != GO_ON)
			return result;
	}
	if (FILTER_USES(FIELD_INPUT)) {
		struct device device = device_at(packet->network_device);
		key->input = (u32)of_device(device, ifindex);
		read_name(device, key->input_name);
	}
	if (FILTER_USES(FIELD_OUTPUT)) {
		key->output = packet->egress_index;
		read_name(device_at(packet->egress), key->output_name);
	}
	key->source_mac = mac_word(packet->ethernet->source);
#if FOLLOWS_CONNECTIONS
	/* behind the translation of destinations, and in front of that of sources */
	key->arrived_destination = key->destination;
	key->arrived_destination_port = key->destination_port;
	key->destination = __builtin_bswap32(packet->connection->destination);
	if (!FILTER_UNTRACKS || !packet->connection->stranger)
		key->destination_port = network_order(packet->connection->destination_port);
	key->connection = packet->connection->settled;
	key->connection_mark = packet->connection->mark;
#endif
	packet->filter = filter;
	outcome result = fp_filter_judge(packet, key, filter);
#if FOLLOWS_CONNECTIONS && FILTER_UNTRACKS
	result = fp_firewall_untracked(packet->connection, key, filter, result);
#endif
#if FILTER_CHANGES
	packet->mark = key->mark;
#endif
#if FOLLOWS_CONNECTIONS
	/* the kernel has to see it, also if it is lost behind connection tracking */
	if (CONNECTIONS_ASK && result == DROP && packet->connection->is_watched)
		return REASON_CONNECTION_WINDOW;
#endif
#if FOLLOWS_CONNECTIONS && !CONNECTIONS_RENEW_AT_ONCE
	/* what is lost there is not seen by the connection */
	if (result == DROP && fp_filter_is_untracked(filter))
		packet->connection->is_old = 0;
#endif
	return result;
}

/* The rule that decided, from 1; 0: none did. */
fp_inline u32 fp_rule_of(const struct packet *packet)
{
	return packet->filter ? packet->filter->rule + 1 : 0;
}

/* The kernel counts what it gets by itself. */
fp_inline void fp_count_rules(const struct packet *packet, outcome outcome)
{
	if (packet->filter && (outcome == FORWARD || outcome == DROP))
		fp_filter_account(packet->filter, packet->filter->length);
}

#endif
