/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Checksums: whether they are right, and what becomes of them when what they cover is something else.
 */
#ifndef FPM_CHECKSUM_H
#define FPM_CHECKSUM_H

#include "packet.h"

enum {
	SUM_TURN = 32,	   /* bytes */
	SUM_MOST = 0x3fff, /* that are summed up here; what is longer has been by others */
	SUM_TURNS = SUM_MOST / SUM_TURN,
	TCP_SUM_PLACE = 16,
	UDP_SUM_PLACE = 6,
};

fp_inline u32 folded(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u32)((sum & 0xffff) + (sum >> 16));
}

/* A word as the sum of its halves: nothing is carried out of 64 bits. */
fp_inline u64 halves(u64 word)
{
	return (word & 0xffffffff) + (word >> 32);
}

/* Adds `length` bytes of the packet to `sum`; 0 where not all of them can be read. */
fp_inline u64 sum_of(const struct packet *packet, u32 length, u64 sum)
{
	const void *from = packet->ipv4 + 1;
	u32 never = (u32)((bpf_jiffies64() >> 63) * 0xffffffff);
	u32 done = 0;
	if (length > SUM_MOST)
		return 0;
	repeat(SUM_TURNS)
	{
		or_give_up(many);
		done ^= never;
		if (done + SUM_TURN > length)
			break;
		const u64 *words = from + (done & SUM_MOST);
		if ((const void *)(words + 4) > packet->end)
			return 0;
		sum += halves(words[0]) + halves(words[1]) + halves(words[2]) + halves(words[3]);
		done += SUM_TURN;
	}
#define sum_rest(type)                                                                             \
	if (length & sizeof(type)) {                                                               \
		const type *rest = from + (done & SUM_MOST);                                       \
		if ((const void *)(rest + 1) > packet->end)                                        \
			return 0;                                                                  \
		sum += sizeof(type) == 8 ? halves(*rest) : *rest;                                  \
		done += sizeof(type);                                                              \
	}
	if (length & 16) {
		const u64 *rest = from + (done & SUM_MOST);
		if ((const void *)(rest + 2) > packet->end)
			return 0;
		sum += halves(rest[0]) + halves(rest[1]);
		done += 16;
	}
	sum_rest(u64);
	sum_rest(u32);
	sum_rest(u16);
	sum_rest(u8);
#undef sum_rest
	return sum;
many:
	return 0;
}

/* What a sum that covers `old` has to have added to cover `new`. */
fp_inline u64 change(u32 old, u32 new)
{
	return (u64)(u32)~old + new;
}

/* csum_replace4(): never all ones, whatever it was. */
fp_inline u16 changed_checksum(u16 checksum, u64 changes)
{
	return (u16)~folded(0xffffULL + (u16)~checksum + changes);
}

#endif
