/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The TC hook: how a packet comes in, and what is done with it. It comes after the taps and before the
 * receive handler and netfilter's ingress hook; what is redirected is queued, filtered and seen on its way
 * out as if the kernel had sent it there. Segments that were joined, or not yet cut, stay whole.
 */
#ifndef FPM_TC_H
#define FPM_TC_H

#include "live/device.h"
#include "live/network.h"
#include "live/peer.h"
#include "parse.h"

#define CONTEXT struct __sk_buff
struct __sk_buff {
	u32 len;
	u32 pkt_type;
	u32 mark;
	u32 queue_mapping;
	u32 protocol;
	u32 vlan_present;
	u32 vlan_tci;
	u32 vlan_proto;
	u32 priority;
	u32 ingress_ifindex;
	u32 ifindex;
	u32 tc_index;
	u32 cb[5];
	u32 hash;
	u32 tc_classid;
	u32 data;
	u32 data_end;
	u32 napi_id;
	u32 family;
	u32 remote_ip4;
	u32 local_ip4;
	u32 remote_ip6[4];
	u32 local_ip6[4];
	u32 remote_port;
	u32 local_port;
	u32 data_meta;
	u64 flow_keys;
	u64 tstamp;
	u32 wire_len;
	u32 gso_segs;
	u64 sk;
	u32 gso_size;
};

enum {
	TC_NEXT = -1, /* TCX_NEXT, TC_ACT_UNSPEC */
	TC_DROP = 2,  /* TCX_DROP, TC_ACT_SHOT */
	PACKET_HOST = 0,
	TCP = 6,
	UDP = 17,
	TCP_HEADER_LENGTH = 12, /* where it tells its length */
	UDP_HEADER = 8,
};

/* A packet's length where IP measures it: skb_gso_network_seglen(). */
fp_inline u32 segment_of(const struct __sk_buff *context, const struct packet *packet)
{
	if (!context->gso_size)
		return packet->length;
	const u8 *transport = (const u8 *)(packet->ipv4 + 1);
	if (packet->ipv4->protocol == UDP)
		return ETHERNET_HEADER + sizeof(struct ipv4) + UDP_HEADER + context->gso_size;
	if (packet->ipv4->protocol != TCP ||
	    (void *)(transport + TCP_HEADER_LENGTH + 1) > packet->end)
		return packet->length;
	return ETHERNET_HEADER + sizeof(struct ipv4) + (transport[TCP_HEADER_LENGTH] >> 4) * 4 +
	       context->gso_size;
}

fp_inline outcome fp_tc_take(struct packet *packet, struct __sk_buff *context)
{
	packet->context = context;
	outcome result = fp_parse_frame(packet, (void *)(long)context->data,
					(void *)(long)context->data_end, context->len);
	if (context->gso_size)
		packet->carried = 0;
	return result;
}

/* Programs that would run after this one. */
fp_inline int others_follow(struct device device)
{
#if HAS_net_device_tcx_ingress
	u64 bundle = (u64)live((u64)of_device(device, tcx_ingress), bpf_mprog_entry, parent);
	return live(bundle, bpf_mprog_bundle, count) != 1 ||
	       live(bundle - OFFSET(tcx_entry, bundle), tcx_entry, miniq) != 0;
#else
	(void)device;
	return 0;
#endif
}

fp_inline u64 fp_tc_device(struct __sk_buff *context)
{
	return (u64)live(behind(context), sk_buff, dev);
}

fp_inline outcome fp_tc_enter(struct packet *packet, struct device *device)
{
	packet->network_device = fp_tc_device(packet->context);
	*device = device_at(packet->network_device);
	packet->network = (u64)of_device(*device, nd_net);
#if !FILTERS_VLANS
	struct __sk_buff *context = packet->context;
	if (context->vlan_present)
		return REASON_VLAN_TAG;
#endif
#if JUDGES_RULES
	packet->mark = ((const struct __sk_buff *)packet->context)->mark;
#endif
	if (others_follow(*device))
		return REASON_FOREIGN_TC_INGRESS;
	if (device_filters_ingress(*device))
		return REASON_NETFILTER_INGRESS;
	return GO_ON;
}

#if FILTERS_VLANS
enum { TAG_IN_FRAME = 0 };

fp_inline int fp_is_tagged_beside(const struct packet *packet)
{
	const struct __sk_buff *context = packet->context;
	return context->vlan_present != 0;
}

/* The kernel has taken the outermost tag off already. */
fp_inline int fp_untag(struct packet *packet)
{
	const struct __sk_buff *context = packet->context;
	if (!context->vlan_present)
		return 1;
	packet->tagged = 1;
	packet->control = (u16)context->vlan_tci;
	return (u16)context->vlan_proto == network_order(PROTOCOL_VLAN);
}

fp_inline int fp_tag(struct __sk_buff *context, const struct packet *packet)
{
	int kept = packet->leaves_tagged && packet->control & VLAN_ID;
	if (packet->tagged && !kept && bpf_skb_vlan_pop(context))
		return 0;
	if (packet->leaves_tagged && !kept) {
		u16 control = (packet->control & ~VLAN_ID) | packet->vlan;
		if (bpf_skb_vlan_push(context, network_order(PROTOCOL_VLAN), control))
			return 0;
	}
	return 1;
}
#endif

/* eth_type_trans() has looked at the address. */
fp_inline outcome fp_tc_is_ours(const struct packet *packet, struct device device)
{
	const struct __sk_buff *context = packet->context;
	(void)device;
	return context->pkt_type == PACKET_HOST ? GO_ON : REASON_OTHER_HOST;
}

/*
 * What is redirected on ingress is queued, filtered by tc and seen by taps on its way out, but passes by
 * netfilter's egress hook: __netif_receive_skb_core() has it skipped.
 */
fp_inline outcome fp_tc_redirect(struct packet *packet, struct device from)
{
	struct device egress = device_at(packet->egress);
	if (device_filters_egress(egress))
		return REASON_NETFILTER_EGRESS;
	(void)from;
	return FORWARD;
}

/* rt_tos2priority() */
fp_inline u32 priority_of(u8 tos)
{
	/* four bits for each: best effort 0, bulk 2, interactive 6, interactive bulk 4 */
	return 0x4444666622220000ULL >> (tos & 0x1e) / 2 * 4 & 15;
}

fp_inline int fp_tc_is_asked(const struct __sk_buff *context)
{
	return context->cb[0] == (u32)QUESTION_MAGIC && context->cb[1] == QUESTION_MAGIC >> 32;
}

fp_inline void fp_tc_account(struct __sk_buff *context, const struct packet *packet,
			     outcome outcome)
{
	if (fp_tc_is_asked(context)) {
		context->cb[2] = verdict_of(outcome) << 16 | (u16)outcome;
		context->cb[3] = outcome == FORWARD ? packet->egress_index : 0;
		context->cb[4] = fp_rule_of(packet);
		return;
	}
	count(outcome, context->len);
	fp_count_rules(packet, outcome);
}

/* Ethernet and the first half of the IPv4 header: all that routing changes; and what translation does behind it. */
struct rewritten {
	u64 destination_source; /* 6 bytes and 2 */
	u32 source;
	u16 protocol;
	u16 version_tos;
	u64 length_to_ttl; /* length, id, fragment, ttl and protocol */
	u16 checksum;
#if FOLLOWS_CONNECTIONS
	u16 addresses[4];
	u16 ports[2];
	u16 spare;
#else
	u16 spare[3];
#endif
};
enum { REWRITTEN = FOLLOWS_CONNECTIONS ? 38 : 26 };

#if FOLLOWS_CONNECTIONS || JUDGES_RULES
/* The stack has no room for it. */
struct {
	map_number(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, struct rewritten);
} fpd_rewriting SEC(".maps");
#endif

fp_inline u32 summed_by(struct __sk_buff *context)
{
	u32 summed = live_u32(behind(context), OFFSET(sk_buff, ip_summed));
	return summed >> SHIFT_sk_buff_ip_summed & MASK_sk_buff_ip_summed;
}

/*
 * ip_rcv_core() cuts off what lies behind the packet; not where a checksum is still to be written there. The headers
 * are to be found again afterwards.
 */
fp_inline int fp_tc_trim(struct __sk_buff *context, struct packet *packet)
{
	if (packet->padding && (context->gso_size || summed_by(context) == CHECKSUM_PARTIAL ||
				bpf_skb_change_tail(context, packet->length, 0)))
		return 0;
	packet->end = (void *)(long)context->data_end;
	packet->ipv4 = (void *)(long)context->data + sizeof(struct ethernet);
	return (void *)(packet->ipv4 + 1) <= packet->end;
}

#if FOLLOWS_CONNECTIONS
#define KFUNC_connection_lookup KFUNC_bpf_skb_ct_lookup
enum {
	CHECKSUM_UNNECESSARY = 1,
	CHECKSUM_COMPLETE = 2,
	PSEUDO_HEADER = 1 << 4, /* BPF_F_PSEUDO_HDR */
	ZERO_IS_NONE = 1 << 5,	/* BPF_F_MARK_MANGLED_0 */
	ZERO_IS_SUM = 1 << 6,	/* BPF_F_MARK_ENFORCE */
	TRANSPORT_PLACE = ETHERNET_HEADER + sizeof(struct ipv4),
};

/* Somebody has looked before: act_ct, a template. */
fp_inline int fp_has_connection(const struct packet *packet)
{
	return live(behind(packet->context), sk_buff, _nfct) != 0;
}

/*
 * Whether the device, or who sent it here, vouches for the checksum: nf_ip_checksum(). A sum of all that came counts
 * what is cut off, too.
 */
fp_inline int fp_sum_is_known(const struct packet *packet, u64 pseudo)
{
	u32 by = summed_by(packet->context);
	const struct __sk_buff *context = packet->context;
	if (by == CHECKSUM_COMPLETE)
		return context->len ==
			       ETHERNET_HEADER + network_order(packet->ipv4->total_length) &&
		       folded(pseudo + live_u32(behind(packet->context), OFFSET(sk_buff, csum))) ==
			       0xffff;
	return by == CHECKSUM_UNNECESSARY || by == CHECKSUM_PARTIAL;
}

/* What translation changes. */
struct translated {
	u32 source;
	u32 destination;
	u32 ports;
};

#include "live/connection.h"

/*
 * nf_nat_packet(), for the checksum behind the IPv4 header. The first call makes all headers our own, or fails
 * and has changed nothing; those behind it cannot.
 */
fp_inline outcome fp_tc_translate(struct __sk_buff *context, const struct connection *known,
				  const struct translated *old, const struct translated *fresh)
{
	u32 place = TRANSPORT_PLACE + TCP_SUM_PLACE;
	u64 flags = sizeof(u32);
	if (known->transport == TRANSPORT_UDP) {
		place = TRANSPORT_PLACE + UDP_SUM_PLACE;
		flags |= ZERO_IS_NONE;
		if (summed_by(context) == CHECKSUM_PARTIAL)
			flags |= ZERO_IS_SUM;
	}
	if (known->translates & TRANSLATES_DESTINATION &&
	    bpf_l4_csum_replace(context, place, old->destination, fresh->destination,
				flags | PSEUDO_HEADER))
		return REASON_MALFORMED;
	if (known->translates & TRANSLATES_SOURCE &&
	    bpf_l4_csum_replace(context, place, old->source, fresh->source, flags | PSEUDO_HEADER))
		return REASON_MALFORMED;
	/* an address was replaced: that the kernel goes on by replacing a port by itself changes nothing any more */
	if (old->ports != fresh->ports)
		bpf_l4_csum_replace(context, place, old->ports, fresh->ports, flags);
	return FORWARD;
}
#endif

/* Makes the frame what leaves. */
fp_inline outcome fp_tc_rewrite(struct __sk_buff *context, struct packet *packet)
{
	if (packet->routed) {
		if (!fp_tc_trim(context, packet))
			return REASON_PADDING;
		struct network network = network_at(packet->network);
		const struct ipv4 *ipv4 = packet->ipv4;
		if (of_network(network, sysctl_ip_fwd_update_priority))
			context->priority = priority_of(ipv4->tos);
		/* one call that writes, and only then makes a shared header our own */
		const u16 *half = (const u16 *)ipv4;
		u16 checksum = ipv4->checksum;
#if FOLLOWS_CONNECTIONS
		const u32 *last = (const u32 *)(ipv4 + 1);
		if ((void *)(last + 1) > packet->end)
			return REASON_MALFORMED;
		const struct connection *known = packet->connection;
		if (!known)
			return REASON_MALFORMED;
		struct translated old = { ipv4->source, ipv4->destination, *last };
		u32 ports = known->source_port | (u32)known->destination_port << 16;
		struct translated fresh = { known->source, known->destination, ports };
		if (known->translates)
			checksum = changed_checksum(
				checksum, change(old.source, known->source) +
						  change(old.destination, known->destination));
#endif
#if FOLLOWS_CONNECTIONS || JUDGES_RULES
		u32 first = 0;
		struct rewritten *header = bpf_map_lookup_elem(&fpd_rewriting, &first);
		if (!header)
			return REASON_MALFORMED;
#else
		struct rewritten made, *header = &made;
#endif
		*header = (struct rewritten){
			.destination_source = packet->new_destination | packet->new_source << 48,
			.source = (u32)(packet->new_source >> 16),
			.protocol = network_order(PROTOCOL_IPV4),
			.version_tos = half[0],
			.length_to_ttl = (u64)half[1] | (u64)half[2] << 16 | (u64)half[3] << 32 |
					 (u64)(u16)(half[4] - 1) << 48,
			.checksum = fp_parse_aged(checksum),
		};
#if FOLLOWS_CONNECTIONS
		header->addresses[0] = (u16)fresh.source;
		header->addresses[1] = (u16)(fresh.source >> 16);
		header->addresses[2] = (u16)fresh.destination;
		header->addresses[3] = (u16)(fresh.destination >> 16);
		header->ports[0] = known->source_port;
		header->ports[1] = known->destination_port;
		if (known->translates && fp_tc_translate(context, known, &old, &fresh) != FORWARD)
			return REASON_MALFORMED;
#endif
		if (bpf_skb_store_bytes(context, 0, header, REWRITTEN, 0))
			return REASON_MALFORMED;
	}
#if FILTERS_VLANS
	if (!fp_tag(context, packet))
		return REASON_VLAN_TAG;
#endif
	return FORWARD;
}

#if FP_PEER && !FILTERS_VLANS
/* Whether what leaves may go the short way. */
fp_inline int fp_tc_goes_to_peer(struct __sk_buff *context, const struct packet *packet)
{
	const struct ethernet *ethernet = (void *)(long)context->data;
	if (context->mark || context->gso_size ||
	    (void *)(ethernet + 1) > (void *)(long)context->data_end)
		return 0;
	return fp_peer_takes(fp_tc_device(context), packet->egress, mac_word(ethernet->destination),
			     context->len);
}
#endif

fp_inline int fp_tc_finish(struct __sk_buff *context, struct packet *packet, outcome outcome)
{
	u32 egress = packet->egress_index;
	if (outcome == FORWARD)
		outcome = fp_tc_rewrite(context, packet);
	if (outcome != FORWARD && !(JUDGES_RULES && outcome == DROP)) {
		fp_tc_account(context, packet, forgotten(outcome));
		return TC_NEXT;
	}
	fp_tc_account(context, packet, outcome);
	if (outcome == DROP)
		return TC_DROP;
#if CHANGES_MARKS
	if (context->mark != packet->mark)
		context->mark = packet->mark;
#endif
#if FP_PEER && !FILTERS_VLANS
	if (fp_tc_goes_to_peer(context, packet)) {
		if (context->pkt_type != PACKET_HOST)
			bpf_skb_change_type(context, PACKET_HOST);
		return (int)bpf_redirect_peer(egress, 0);
	}
#endif
	return (int)bpf_redirect(egress, 0);
}

#endif
