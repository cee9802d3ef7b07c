/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The bridge's own forwarding database, live: br_fdb_find_rcu() over the same rhashtable.
 */
#ifndef FPM_LIVE_FDB_H
#define FPM_LIVE_FDB_H

#include "../packet.h"
#include "hash.h"

enum {
	ENTRY_LOCAL = 1 << 0,	 /* BR_FDB_LOCAL */
	ENTRY_STATIC = 1 << 1,	 /* BR_FDB_STATIC */
	ENTRY_NOTIFIES = 1 << 7, /* BR_FDB_NOTIFY_INACTIVE */
	ENTRY_LOCKED = 1 << 8,	 /* BR_FDB_LOCKED */
	ENTRIES_IN_BUCKET = 16,
};

/* The first in the bucket of a hash; 0 also where the table could not be allocated in one piece. */
fp_inline u64 first_in_bucket(u64 table, window about, u32 hash)
{
	u32 size = seen(about, bucket_table, size);
	if (!size || seen(about, bucket_table, nest))
		return 0;
	u64 buckets = table + OFFSET(bucket_table, buckets);
	return live_word(buckets + 8ULL * (hash & (size - 1))) & ~1ULL; /* bit 0 is its lock */
}

/* The entry of a MAC address (and VLAN, above it) in a bridge's table, 0 if it has none. */
fp_inline u64 fp_fdb_find(u64 table, u64 key)
{
	window about = look(table);
	u32 seed = seen(about, bucket_table, hash_rnd);
	u64 at = first_in_bucket(table, about, hash_words((u32)key, (u32)(key >> 32), seed));

	repeat(ENTRIES_IN_BUCKET)
	{
		or_give_up(many);
		if (!at || at & 1) /* odd: the end of the chain */
			return 0;
		window entry = look(at);
		if (seen(entry, net_bridge_fdb_entry, key) == key)
			return at;
		at = (u64)seen(entry, net_bridge_fdb_entry, rhnode);
	}
many:
	return 0;
}

#endif
