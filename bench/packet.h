/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Headers of a packet, and what the yardsticks need of the kernel beyond fpm/kernel/helpers.h.
 */
#ifndef BENCH_PACKET_H
#define BENCH_PACKET_H

#include "../fpm/kernel/helpers.h"

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };
enum { TYPE_IPV4 = 0x0800, MAC_SIZE = 6, VERSION_4_NO_OPTIONS = 0x45, UDP = 17 };
enum { FRAGMENTED = 0x3fff }; /* more fragments, or an offset */

#define network16(value) __builtin_bswap16(value)
#define network32(value) __builtin_bswap32(value)

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

struct ethernet {
	u8 destination[MAC_SIZE];
	u8 source[MAC_SIZE];
	u16 type;
};

struct ipv4 {
	u8 version_length;
	u8 tos;
	u16 length;
	u16 identification;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
};

struct udp {
	u16 source;
	u16 destination;
	u16 length;
	u16 checksum;
};

/* ip_decrease_ttl(): the checksum follows without being computed again. */
fp_inline void decrease_ttl(struct ipv4 *ip)
{
	u32 sum = ip->checksum + (u32)network16(0x0100);

	ip->checksum = (u16)(sum + (sum >= 0xffff));
	ip->ttl--;
}

/* An IPv4 packet that a router may forward without a second look. */
fp_inline _Bool is_plain(const struct ethernet *eth, const struct ipv4 *ip)
{
	return eth->type == network16(TYPE_IPV4) && ip->version_length == VERSION_4_NO_OPTIONS &&
	       ip->ttl > 1 && !(ip->fragment & network16(FRAGMENTED));
}

#endif
