/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Headers, as ip_rcv_core() and br_validate_ipv4() judge them.
 *
 * Contract, IPv4: version, header length, total length within the frame and header checksum are
 * verified; options: punt. The kernel counts and drops, or looks closer. Bytes behind the total length, to which
 * Ethernet fills up what is short, are cut off when the packet is forwarded.
 */
#ifndef FPM_PARSE_H
#define FPM_PARSE_H

#include "checksum.h"
#include "packet.h"

fp_inline outcome fp_parse_ethernet(struct packet *packet)
{
	if (packet->ethernet->destination[0] & 1)
		return REASON_MULTICAST;
	return GO_ON;
}

/* What is not IPv4 has a name each. */
fp_inline outcome fp_parse_protocol(u16 protocol)
{
	switch (protocol) {
	case network_order(PROTOCOL_IPV4):
		return GO_ON;
	case network_order(PROTOCOL_IPV6):
		return REASON_IPV6_NOT_MODELLED;
	case network_order(PROTOCOL_VLAN):
	case network_order(PROTOCOL_VLAN_SERVICE):
		return REASON_VLAN_TAG;
	default:
		return REASON_OTHER_PROTOCOL;
	}
}

/* The sum of a header of 20 bytes is all ones: ip_fast_csum(). */
fp_inline int ipv4_sum_is_right(const struct ipv4 *ipv4)
{
	const u32 *word = (const u32 *)ipv4;
	return folded((u64)word[0] + word[1] + word[2] + word[3] + word[4]) == 0xffff;
}

/*
 * The header behind the Ethernet header is one the kernel would take as it is, without options. What is to be cut
 * off behind it is noted. On TC a frame of several segments tells the length of them all, or nothing.
 */
fp_inline outcome fp_parse_ipv4(struct packet *packet)
{
	struct ipv4 *ipv4 = packet->payload;
	if ((void *)(ipv4 + 1) > packet->end)
		return REASON_MALFORMED;
	packet->ipv4 = ipv4;
	if (ipv4->version_length != 0x45) {
		if (ipv4->version_length >> 4 == 4 && (ipv4->version_length & 15) > 5)
			return REASON_IP_OPTIONS;
		return REASON_MALFORMED;
	}
	if (!ipv4_sum_is_right(ipv4))
		return REASON_IP_CHECKSUM;
	u32 total = network_order(ipv4->total_length);
	u32 carried = packet->length - packet->header;
	if (total < sizeof(*ipv4) || total > carried)
		return REASON_MALFORMED;
	/* without a branch: the verifier would walk what follows twice */
	packet->padding = carried - total;
	packet->length -= packet->padding;
	packet->segment -= packet->padding;
	packet->carried -= packet->padding;
	return GO_ON;
}

/* ip_decrease_ttl(): the header's checksum when its TTL is one less. */
fp_inline u16 fp_parse_aged(u16 checksum)
{
	u32 sum = checksum + network_order(0x0100);
	return (u16)(sum + (sum >= 0xffff));
}

/* What each hook has at hand of a frame. */
fp_inline outcome fp_parse_frame(struct packet *packet, void *data, void *end, u32 length)
{
	packet->ethernet = data;
	packet->end = end;
	packet->length = packet->segment = packet->carried = length;
	packet->payload = packet->ethernet + 1;
	packet->header = sizeof(struct ethernet);
	if (packet->payload > packet->end)
		return REASON_MALFORMED;
	packet->protocol = packet->ethernet->protocol;
	return GO_ON;
}

#endif
