/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The XDP hook: how a packet comes in, and what is done with it.
 */
#ifndef FPM_XDP_H
#define FPM_XDP_H

#include "live/device.h"
#include "parse.h"

#define CONTEXT struct xdp_md
struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

enum { XDP_DROP = 1, XDP_PASS = 2 };

/* How fpd asks what becomes of a packet: in front of it, where no packet from a wire has anything. */
struct question {
	u64 magic;
	u32 verdict; /* 0 punt, 1 forward, 2 drop */
	u32 reason;
	u32 egress;
	u32 rule; /* that decided, from 1 */
	u32 spare[2];
};

/* Of whole pointers: clang would take halves, and one of them later for what the verifier knows as a pointer. */
fp_inline u32 fp_xdp_length(struct xdp_md *context)
{
	void *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	asm volatile("" : "+r"(data), "+r"(end));
	return (u32)(end - data);
}

fp_inline struct question *fp_xdp_question(struct xdp_md *context)
{
	struct question *question = (void *)(long)context->data_meta;
	void *data = (void *)(long)context->data;
	if ((void *)(question + 1) <= data && question->magic == QUESTION_MAGIC)
		return question;
	return 0;
}
#define fp_xdp_is_asked(context) (fp_xdp_question(context) != 0)

fp_inline outcome fp_xdp_take(struct packet *packet, struct xdp_md *context)
{
	packet->context = context;
	return fp_parse_frame(packet, (void *)(long)context->data, (void *)(long)context->data_end,
			      context->data_end - context->data);
}

/* What an skb says beside the frame that XDP sees of it. */
fp_inline outcome judge_sent(u64 skb)
{
	u32 summed = live_u32(skb, OFFSET(sk_buff, ip_summed)) >> SHIFT_sk_buff_ip_summed;
	if ((summed & MASK_sk_buff_ip_summed) == CHECKSUM_PARTIAL)
		return REASON_CHECKSUM_OFFLOAD;
	if (live(skb, sk_buff, vlan_all))
		return REASON_VLAN_TAG;
	return GO_ON;
}

/*
 * Behind the driver of a veth nothing tells whether a frame has a tag beside it. It has none when the other
 * end writes tags into its frames (`ethtool -K DEVICE txvlan off` there).
 */
fp_inline int sender_writes_tags(u64 peer)
{
	return peer && !(live(peer, net_device, features) & DEVICE_LAYS_TAGS_ASIDE);
}

fp_inline u64 fp_xdp_device(struct xdp_md *context)
{
	return (u64)live(live(behind(context), xdp_buff, rxq), xdp_rxq_info, dev);
}

/* The device, and what the frame does not show of itself. */
fp_inline outcome fp_xdp_enter(struct packet *packet, struct device *device)
{
	packet->network_device = fp_xdp_device(packet->context);
	*device = device_at(packet->network_device);
	packet->network = (u64)of_device(*device, nd_net);
#if HAS_veth_xdp_buff_skb
	if (DEVICE_IS_VETH) {
		/* A local sender's: its checksum may be left to hardware, its tag beside it. */
		u64 sent = (u64)live(behind(packet->context), veth_xdp_buff, skb);
		if (sent) {
			outcome result = judge_sent(sent);
			if (result != GO_ON)
				return result;
			packet->mark = live_u32(sent, OFFSET(sk_buff, mark));
		}
	}
#endif
	if (BEHIND_VETH) {
		u64 peer = device_peer(*device);
		if (!sender_writes_tags(peer))
			return REASON_VLAN_OFFLOAD;
		/* nor whether it has a mark, which only a sender in this namespace can have given it */
		if (JUDGES_RULES && !device_is_elsewhere(peer, packet->network))
			return REASON_PACKET_MARK;
	} else if (!DEVICE_IS_VETH && of_device(*device, features) & DEVICE_STRIPS_TAGS) {
		return REASON_VLAN_OFFLOAD;
	}
	return fp_device_enter(*device, packet->network);
}

/* eth_type_trans(): frames to another station's address go no further than taps. */
fp_inline outcome fp_xdp_is_ours(const struct packet *packet, struct device device)
{
	u64 own = live_word((u64)of_device(device, dev_addr)) & MAC_MASK;
	return mac_word(packet->ethernet->destination) == own ? GO_ON : REASON_OTHER_HOST;
}

/* Frames have no mark: nobody behind the device may ask for it, as the other end of a cable here could. */
fp_inline int nobody_sees_mark(const struct packet *packet, struct device from,
			       struct device egress)
{
	if (of_device(egress, hardware))
		return 1;
	return DEVICE_IS_VETH && of_device(from, netdev_ops) == of_device(egress, netdev_ops) &&
	       device_is_elsewhere(device_peer(egress), packet->network);
}

#if CHANGES_MARKS
#define MAY_BE_MARKED 1
#else
#define MAY_BE_MARKED DEVICE_IS_VETH
#endif
fp_inline outcome fp_xdp_redirect(struct packet *packet, struct device from)
{
	struct device egress = device_at(packet->egress);
	if (MAY_BE_MARKED && packet->mark && !nobody_sees_mark(packet, from, egress))
		return REASON_PACKET_MARK;
	return fp_device_redirect(egress);
}

fp_inline void write_mac(u8 *to, u64 word)
{
	*(u32 *)to = (u32)word;
	*(u16 *)(to + 4) = (u16)(word >> 32);
}

#if FILTERS_VLANS
enum { TAG_IN_FRAME = VLAN_TAG };
#define fp_is_tagged_beside(packet) 0

/* skb_vlan_untag(): looks behind the tag, which stays for now. */
fp_inline int fp_untag(struct packet *packet)
{
	if (packet->protocol != network_order(PROTOCOL_VLAN))
		return 1;
	const struct tag *tag = packet->payload;
	/* a frame that ends with its tag is lost in the kernel */
	if ((void *)(tag + 1) + sizeof(u16) > packet->end)
		return 0;
	packet->tagged = 1;
	packet->control = network_order(tag->control);
	packet->protocol = tag->protocol;
	packet->payload += VLAN_TAG;
	packet->header += VLAN_TAG;
	packet->segment -= VLAN_TAG;
	packet->carried -= VLAN_TAG;
	return 1;
}

/* Puts the tag into the frame, or takes it out: the frame begins elsewhere then. */
fp_inline int fp_tag(struct xdp_md *context, struct packet *packet)
{
	u64 destination = mac_word(packet->ethernet->destination);
	u64 source = mac_word(packet->ethernet->source);
	s32 by = (packet->tagged - packet->leaves_tagged) * VLAN_TAG;
	if (by && bpf_xdp_adjust_head(context, by))
		return 0;
	struct ethernet *ethernet = (void *)(long)context->data;
	struct tag *tag = (void *)(ethernet + 1);
	packet->end = (void *)(long)context->data_end;
	if ((void *)(tag + 1) > packet->end)
		return 0;
	packet->ethernet = ethernet;
	write_mac(ethernet->destination, destination);
	write_mac(ethernet->source, source);
	packet->payload = tag;
	if (packet->leaves_tagged) {
		ethernet->protocol = network_order(PROTOCOL_VLAN);
		tag->control = network_order(((packet->control & ~VLAN_ID) | packet->vlan));
		packet->payload = tag + 1;
	}
	packet->ipv4 = packet->payload;
	return !packet->routed || (void *)(packet->ipv4 + 1) <= packet->end;
}
#endif

/* Answers a question instead of counting; nobody asks on the wire. */
fp_inline void fp_xdp_account(struct xdp_md *context, const struct packet *packet, outcome outcome)
{
	struct question *question = fp_xdp_question(context);
	if (question) {
		question->verdict = verdict_of(outcome);
		question->reason = outcome;
		question->egress = outcome == FORWARD ? packet->egress_index : 0;
		question->rule = fp_rule_of(packet);
		return;
	}
	count(outcome, fp_xdp_length(context));
	fp_count_rules(packet, outcome);
}

#if FOLLOWS_CONNECTIONS
#define KFUNC_connection_lookup KFUNC_bpf_xdp_ct_lookup
/* A frame has no connection yet: a veth takes a local sender's off it. */
#define fp_has_connection(packet) 0
/* No driver tells a program. */
#define fp_sum_is_known(packet, pseudo) 0
#include "live/connection.h"

/* nf_nat_packet(), for both directions at once. */
fp_inline outcome fp_xdp_translate(struct packet *packet, const struct connection *known)
{
	struct ipv4 *ipv4 = packet->ipv4;
	u16 *ports = (void *)(ipv4 + 1);
	u32 place = known->transport == TRANSPORT_UDP ? UDP_SUM_PLACE : TCP_SUM_PLACE;
	u16 *checksum = (void *)ports + place;
	if ((void *)(checksum + 1) > packet->end)
		return REASON_MALFORMED;
	u64 addresses =
		change(ipv4->source, known->source) + change(ipv4->destination, known->destination);
	u64 all = addresses + change(ports[0], known->source_port) +
		  change(ports[1], known->destination_port);
	ipv4->checksum = changed_checksum(ipv4->checksum, addresses);
	if (known->transport == TRANSPORT_TCP || *checksum) {
		u16 sum = changed_checksum(*checksum, all);
		*checksum = known->transport == TRANSPORT_UDP && !sum ? 0xffff : sum;
	}
	ipv4->source = known->source;
	ipv4->destination = known->destination;
	ports[0] = known->source_port;
	ports[1] = known->destination_port;
	return FORWARD;
}
#endif

/* ip_rcv_core() cuts off what lies behind the packet; the headers are to be found again afterwards. */
fp_inline int fp_xdp_trim(struct xdp_md *context, struct packet *packet)
{
	u32 header = FILTERS_VLANS ? packet->header & HEADER_POSSIBLE : sizeof(struct ethernet);
	if (packet->padding && bpf_xdp_adjust_tail(context, -(s32)packet->padding))
		return 0;
	packet->ethernet = (void *)(long)context->data;
	packet->end = (void *)(long)context->data_end;
	packet->payload = (void *)packet->ethernet + header;
	packet->ipv4 = packet->payload;
	return (void *)(packet->ipv4 + 1) <= packet->end;
}

/* What is too short for Ethernet is filled up with zeros: hardware may count on it that somebody has. */
fp_inline void fp_xdp_pad(struct xdp_md *context, const struct packet *packet)
{
	u32 length = fp_xdp_length(context);
	if (length < ETHERNET_LEAST && of_device(device_at(packet->egress), hardware))
		bpf_xdp_adjust_tail(context, (s32)(ETHERNET_LEAST - length));
}

/* Makes the frame what leaves. */
fp_inline outcome fp_xdp_rewrite(struct xdp_md *context, struct packet *packet)
{
	if (packet->routed && !fp_xdp_trim(context, packet))
		return REASON_PADDING;
#if FILTERS_VLANS
	if ((packet->tagged || packet->leaves_tagged) && !fp_tag(context, packet))
		return REASON_VLAN_TAG;
#endif
	if (packet->routed) {
#if FOLLOWS_CONNECTIONS
		const struct connection *known = packet->connection;
		if (known && known->translates && fp_xdp_translate(packet, known) != FORWARD)
			return REASON_MALFORMED;
#endif
		packet->ipv4->checksum = fp_parse_aged(packet->ipv4->checksum);
		packet->ipv4->ttl--;
		write_mac(packet->ethernet->destination, packet->new_destination);
		write_mac(packet->ethernet->source, packet->new_source);
	}
	fp_xdp_pad(context, packet);
	return FORWARD;
}

fp_inline int fp_xdp_finish(struct xdp_md *context, struct packet *packet, outcome outcome)
{
	u32 egress = packet->egress_index;
	if (outcome == FORWARD)
		outcome = fp_xdp_rewrite(context, packet);
	if (outcome != FORWARD && !(JUDGES_RULES && outcome == DROP)) {
		fp_xdp_account(context, packet, forgotten(outcome));
		return XDP_PASS;
	}
	fp_xdp_account(context, packet, outcome);
	if (outcome == DROP)
		return XDP_DROP;
	return bpf_redirect(egress, 0);
}

#endif
