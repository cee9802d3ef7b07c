/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The kernel's ARP table, live: __ipv4_neigh_lookup_noref().
 *
 * Contract, IPv4: a neighbour that is missing or has no valid address: punt, the kernel resolves. One
 * that is STALE: punt, and the kernel begins to probe it (DELAY, PROBE), as with every packet that it
 * sends there itself; while it probes, packets take the fast path, as the kernel goes on sending, too.
 */
#ifndef FPM_LIVE_NEIGHBOUR_H
#define FPM_LIVE_NEIGHBOUR_H

#include "device.h"

enum {
	/* REACHABLE, DELAY, PROBE, NOARP and PERMANENT: neigh_output() sends and changes nothing */
	NEIGHBOUR_IS_USABLE = 0x02 | 0x08 | 0x10 | 0x40 | 0x80,
	NEIGHBOURS_IN_BUCKET = 16,
};

#if HAS_neighbour_hash
#define neighbour_next(at) seen(at, neighbour, hash)
#define neighbour_buckets(table) seen(table, neigh_hash_table, hash_heads)
#else
#define neighbour_next(at) seen(at, neighbour, next)
#define neighbour_buckets(table) seen(table, neigh_hash_table, hash_buckets)
#endif

/* The address of `gateway` on the device behind `in_device`, as a word. */
fp_inline outcome fp_neighbour_find(u64 in_device, u64 device, u32 gateway, u64 *address)
{
	u64 parameters = (u64)live(in_device, in_device, arp_parms);
	u64 family = (u64)live(parameters, neigh_parms, tbl);
	window table = look((u64)live(family, neigh_table, nht));
	/* arp_hashfn() */
	u32 hash = gateway ^ (u32)(device ^ device >> 32);
	hash *= (u32)word_at(table, OFFSET(neigh_hash_table, hash_rnd));
	hash >>= (32 - seen(table, neigh_hash_table, hash_shift)) & 31;
	u64 at = live_word((u64)neighbour_buckets(table) + 8ULL * hash);

	repeat(NEIGHBOURS_IN_BUCKET)
	{
		or_give_up(many);
		if (!at)
			return REASON_NEIGHBOUR;
		window neighbour = look(at);
		if ((u32)word_at(neighbour, OFFSET(neighbour, primary_key)) == gateway &&
		    (u64)seen(neighbour, neighbour, dev) == device) {
			/* the address is written under a sequence lock */
			u32 before = live(at, neighbour, ha_lock);
			asm volatile("" ::: "memory");
			u8 state = seen(neighbour, neighbour, nud_state);
			*address = word_at(neighbour, OFFSET(neighbour, ha)) & MAC_MASK;
			asm volatile("" ::: "memory");
			u32 after = live(at, neighbour, ha_lock);
			if (before & 1 || before != after || !(state & NEIGHBOUR_IS_USABLE))
				return REASON_NEIGHBOUR;
			return GO_ON;
		}
		at = (u64)neighbour_next(neighbour);
	}
many:
	return REASON_NEIGHBOUR;
}

#endif
