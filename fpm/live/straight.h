/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Most of what is asked of sets needs no loop: a bucket has a few elements, a set of networks a few lengths
 * of prefix. That is looked at straight on: what costs most in a loop is what it remembers in memory from
 * one turn to the next, for the verifier's sake. What takes more steps the loop does, from the beginning.
 *
 * All that is proven there of the set and of an element that is found is proven here. Included by ipset.h.
 */
#ifndef FPM_LIVE_STRAIGHT_H
#define FPM_LIVE_STRAIGHT_H

enum { LOOK_CLOSER = -5, NOT_HERE = -6 };

/*
 * Nor should it be tried another time, by this program: should the set become another one, that is only
 * slower.
 */
fp_unused fp_inline outcome not_at_once(search search)
{
	search->closer |= 1ULL << (search->asked & 63);
	return LOOK_CLOSER;
}

#if KNOWS_HASHES
enum element_size { FOUR_BYTES, EIGHT_BYTES };

/* An element, in one load. */
fp_inline u64 element_at(u64 place, enum element_size bytes)
{
	window element = look(place);
	return bytes == FOUR_BYTES ? *(const u32 *)element : *element;
}

/* The bucket that an element would be in, 0 if there is none. */
fp_inline u64 bucket_of(u64 address, u32 seed, u64 wanted, enum element_size bytes)
{
	u32 low = (u32)wanted;
	u32 hash = bytes == FOUR_BYTES ? hash_word(low, seed)
				       : hash_words(low, (u32)(wanted >> 32), seed);
	window table = look(address);
	u64 mask = (1ULL << (seen(table, htable, htable_bits) & 31)) - 1;
	return live_word(address + OFFSET(htable, bucket) + 8 * (hash & mask));
}

/* The bits of an element that count: what stands in memory anyway needs no place on the stack. */
#define COMPARED (bytes == FOUR_BYTES ? 0xffffffff : search->compared)

/*
 * Of an element that is equal: GO_ON, UNMET if it is an exception, LOOK_CLOSER if it has expired, or is none
 * any more: the place of one that was taken out may hold another one, which is not complete yet.
 */
fp_inline outcome element_counts(search search, u64 bit, u64 place, u64 wanted,
				 enum element_size bytes)
{
	window set = look(search->set);
	if (seen(set, ip_set, extensions) & SET_EXPIRES) {
		u64 offset = word_at(set, OFFSET(ip_set, offset) + 8 * PLACE_OF_TIMEOUT);
		then_read();
		if (offset + 8 > search->size || is_expired(search->set, place))
			return LOOK_CLOSER;
	}
	then_read();
	if (!(live_word(search->bucket + OFFSET(hbucket, used)) & bit))
		return LOOK_CLOSER;
	/* one that was renewed may have become an exception, which is written first */
	then_read();
	u64 word = element_at(place, bytes);
	if ((word & COMPARED) != wanted)
		return LOOK_CLOSER;
	return word & search->nomatch ? UNMET : GO_ON;
}

#define look_at_place()                                                                            \
	do {                                                                                       \
		if ((element_at(place, bytes) & COMPARED) == wanted && used & bit)                 \
			goto found;                                                                \
		place += search->size, bit <<= 1;                                                  \
	} while (0)
#define look_at_places()                                                                           \
	do {                                                                                       \
		look_at_place();                                                                   \
		look_at_place();                                                                   \
		look_at_place();                                                                   \
		look_at_place();                                                                   \
	} while (0)

/*
 * Whether a bucket has an element: NOT_HERE if not.
 *
 * The word of used bits is read once, in front of all elements. The kernel sets a bit behind all that
 * belongs to the element, and moves no element within a bucket: so what is there all the time is found.
 * No used bit is beyond the bucket's `pos`, which need not be read. Four places are looked at whether they
 * are used or not: how many are differs from bucket to bucket, and a branch that no processor foresees
 * costs more than loads.
 */
fp_inline outcome in_bucket(search search, u64 bucket, u64 wanted, enum element_size bytes)
{
	search->bucket = bucket;
	u64 used = live_word(bucket + OFFSET(hbucket, used));
	u64 place = bucket + OFFSET(hbucket, value), bit = 1;
	then_read();
	look_at_places();
	if (used >> 4)
		look_at_places();
	if (used >> 8)
		look_at_places();
	return used >> 12 ? LOOK_CLOSER : NOT_HERE;
found:
	return element_counts(search, bit, place, wanted, bytes);
}
#undef look_at_places
#undef look_at_place

/* A set of single elements. */
fp_inline outcome in_hash_at_once(search search, u64 table, u32 seed, u64 wanted,
				  enum element_size bytes)
{
	/* what is read in one load lies in one word */
	if (!table || search->size & (bytes == FOUR_BYTES ? 3 : 7))
		return LOOK_CLOSER;
	u64 bucket = bucket_of(table, seed, wanted, bytes);
	if (!bucket)
		return UNMET;
	outcome result = in_bucket(search, bucket, wanted, bytes);
	return result == NOT_HERE ? UNMET : result;
}

#define look_under_prefix(number)                                                                  \
	do {                                                                                       \
		u32 length = live_u8(search->prefixes + (number)*PREFIX_SIZE, PREFIX_LENGTH);      \
		if (!length)                                                                       \
			return UNMET;                                                              \
		length = (length - 1) & 63; /* one more than the length is stored there */         \
		if (length > PREFIXES)                                                             \
			return LOOK_CLOSER;                                                        \
		u32 mask = __builtin_bswap32((u32)(~0ULL << (PREFIXES - length)));                 \
		u64 wanted = (search->element & (0xffffffff00000000ULL | mask)) |                  \
			     (u64)(length - search->excess) << 56;                                 \
		u64 bucket = bucket_of(search->table, search->seed, wanted, EIGHT_BYTES);          \
		outcome result = NOT_HERE;                                                         \
		if (bucket)                                                                        \
			result = in_bucket(search, bucket, wanted, EIGHT_BYTES);                   \
		if (result != NOT_HERE)                                                            \
			return result;                                                             \
	} while (0)

/* A set of networks: longer prefixes come first. */
fp_inline outcome in_networks_at_once(search search)
{
	if (!search->table || search->size & 7)
		return LOOK_CLOSER;
	look_under_prefix(0);
	look_under_prefix(1);
	look_under_prefix(2);
	look_under_prefix(3);
	if (!live_u8(search->prefixes + 4 * PREFIX_SIZE, PREFIX_LENGTH))
		return UNMET;
	return not_at_once(search);
}
#undef look_under_prefix
#undef COMPARED
#endif

/* The address that is asked about, in network order. */
fp_unused fp_inline u32 address_of(search search)
{
	return __builtin_bswap32(search->asked >> 16 & 1 ? search->source : search->destination);
}

/* What fp_set_has() says, or LOOK_CLOSER. */
fp_inline outcome set_has_at_once(search search)
{
#if KNOWS_SETS
	if (!search->sets)
		return LOOK_CLOSER;
	u64 all = (u64)live(search->sets, ip_set_net, ip_set_list);
	u64 address = live_word(all + 8ULL * (search->asked & 0xffff));
	if (!all || !address)
		return LOOK_CLOSER;
	window set = look(address);
	window type = look((u64)seen(set, ip_set, type));
	u8 family = seen(set, ip_set, family), extensions = seen(set, ip_set, extensions);
	u64 data = (u64)seen(set, ip_set, data), size = (u64)seen(set, ip_set, dsize);
	if ((family && family != FAMILY_IPV4) || !data ||
	    extensions & ~(SET_EXPIRES | SET_COMMENTS | SET_PACKET_INFO | SET_DESTROYS))
		return LOOK_CLOSER;
	enum set_kind kind = kind_of(type);
	/* bitmaps have no loop that could be left out */
	if (kind == LIST_OF_SETS || kind == BITMAP_IP || kind == BITMAP_PORT)
		return not_at_once(search);

	/* of the others these have two dimensions */
	u32 port = 0;
	if (kind == HASH_IP_PORT || kind == HASH_NET_PORT) {
		if (search->asked >> 24 < 2)
			return UNMET;
		outcome result = port_of(search, search->asked >> 17 & 1, &port);
		if (result != GO_ON)
			return result;
	}
	search->set = address;
	search->size = size;
	search->nomatch = 0;
	fp_unused u64 behind = (u64)network_order((u16)port) << 32 | (u64)search->transport << 48;
#if KNOWS_HASH_IP
	if (kind == HASH_IP) {
		u64 element = address_of(search) & HASH_IP_MASK(data);
		if (!element)
			return UNMET;
		return in_hash_at_once(search, (u64)live(data, hash_ip4, table),
				       live(data, hash_ip4, initval), element, FOUR_BYTES);
	}
#endif
#if KNOWS_HASH_IP_PORT
	if (kind == HASH_IP_PORT) {
		u64 element = address_of(search) & HASH_IP_PORT_MASK(data);
		if (!element)
			return UNMET;
		search->compared = 0x00ffffffffffffffULL;
		return in_hash_at_once(search, (u64)live(data, hash_ipport4, table),
				       live(data, hash_ipport4, initval), element | behind,
				       EIGHT_BYTES);
	}
#endif
#if KNOWS_HASH_NET || KNOWS_HASH_NET_PORT
	if (kind == HASH_NET || kind == HASH_NET_PORT) {
		if (take_search(search, kind, data, __builtin_bswap32(address_of(search)), port) !=
		    GO_ON)
			return UNMET;
		return in_networks_at_once(search);
	}
#endif
#endif
	return LOOK_CLOSER;
}

/* The same, where it is worth trying. */
fp_inline outcome try_at_once(search search)
{
	return search->closer >> (search->asked & 63) & 1 ? LOOK_CLOSER : set_has_at_once(search);
}

#endif
