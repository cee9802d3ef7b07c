/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Sets of ipset, asked in the kernel's own memory: ip_set_test() over the same structures, under the same
 * RCU protection. Nothing is copied: what was added, deleted, flushed, swapped is seen by the next packet.
 *
 * Rules name a set by its index. What lies behind an index may be exchanged at any time (ipset swap), and
 * what a list:set is made of as well, so each look-up asks the set itself of which type it is. Sets of
 * other types, and those that count, are the kernel's.
 *
 * Included by live/late.h.
 */
#ifndef FPM_LIVE_IPSET_H
#define FPM_LIVE_IPSET_H

#include "../packet.h"
#include "hash.h"

enum {
	FAMILY_IPV4 = 2,       /* NFPROTO_IPV4 */
	SET_EXPIRES = 1 << 0,  /* IPSET_EXT_TIMEOUT */
	SET_COMMENTS = 1 << 2, /* what else an element may have that is not asked about */
	SET_PACKET_INFO = 1 << 3,
	SET_DESTROYS = 1 << 7,
	PLACE_OF_TIMEOUT = 1, /* IPSET_EXT_ID_TIMEOUT */
	PREFIXES = 32,
	PREFIX_SIZE =
		8, /* struct net_prefixes: how many there are, and in the next byte the length */
	PREFIX_LENGTH = 4, /* in it */
	HASH_TURNS = 16,   /* where they have to be bounded: buckets and elements looked at */
	LIST_TURNS = 8,
};

/* The compiler does not pass what a function has no use for; the verifier wants all of it. */
#define take_argument(argument) asm volatile("" : : "r"(argument))

/* ---- what this kernel tells of its types ---- */

#if HAS_ip_set_net_ip_set_list && HAS_ip_set_type_name && HAS_ip_set_type_dimension &&             \
	HAS_ip_set_type && HAS_ip_set_family && HAS_ip_set_extensions && HAS_ip_set_dsize &&       \
	HAS_ip_set_offset && HAS_ip_set_data && SIZE_ip_set_type >= OFFSET_ip_set_type_name + 32
#define KNOWS_SETS 1
#else
#define KNOWS_SETS 0
#endif

/* A bucket has one word of bits for its elements, followed by two bytes. */
#if KNOWS_SETS && HAS_htable_htable_bits && HAS_htable_bucket && HAS_hbucket_used &&               \
	HAS_hbucket_pos && HAS_hbucket_value && HAS_hbucket_size &&                                \
	OFFSET_hbucket_size == OFFSET_hbucket_used + 8
#define KNOWS_HASHES 1
#else
#define KNOWS_HASHES 0
#endif

#if KNOWS_HASHES && HAS_hash_ip4_table && HAS_hash_ip4_initval && HAS_hash_ip4_netmask &&          \
	SIZE_hash_ip4_elem == 4
#define KNOWS_HASH_IP 1
#else
#define KNOWS_HASH_IP 0
#endif

#if KNOWS_HASHES && HAS_hash_ipport4_table && HAS_hash_ipport4_initval &&                          \
	SIZE_hash_ipport4_elem == 8 && HAS_hash_ipport4_elem_ip &&                                 \
	OFFSET_hash_ipport4_elem_ip == 0 && OFFSET_hash_ipport4_elem_port == 4 &&                  \
	OFFSET_hash_ipport4_elem_proto == 6
#define KNOWS_HASH_IP_PORT 1
#else
#define KNOWS_HASH_IP_PORT 0
#endif

#if KNOWS_HASHES && HAS_hash_net4_table && HAS_hash_net4_initval && HAS_hash_net4_nets &&          \
	SIZE_hash_net4 == OFFSET_hash_net4_nets + 8 * 32 && SIZE_hash_net4_elem == 8 &&            \
	HAS_hash_net4_elem_ip && OFFSET_hash_net4_elem_ip == 0 &&                                  \
	OFFSET_hash_net4_elem_nomatch == 6 && OFFSET_hash_net4_elem_cidr == 7
#define KNOWS_HASH_NET 1
#else
#define KNOWS_HASH_NET 0
#endif

#if KNOWS_HASHES && HAS_hash_netport4_table && HAS_hash_netport4_initval &&                        \
	HAS_hash_netport4_nets && SIZE_hash_netport4 == OFFSET_hash_netport4_nets + 8 * 32 &&      \
	SIZE_hash_netport4_elem == 8 && HAS_hash_netport4_elem_ip &&                               \
	OFFSET_hash_netport4_elem_ip == 0 && OFFSET_hash_netport4_elem_port == 4 &&                \
	OFFSET_hash_netport4_elem_proto == 6 && OFFSET_hash_netport4_elem_cidr == 7 &&             \
	SHIFT_hash_netport4_elem_cidr == 0 && MASK_hash_netport4_elem_cidr == 0x7f &&              \
	OFFSET_hash_netport4_elem_nomatch == 7 && SHIFT_hash_netport4_elem_nomatch == 7
#define KNOWS_HASH_NET_PORT 1
#else
#define KNOWS_HASH_NET_PORT 0
#endif

#if KNOWS_SETS && HAS_bitmap_ip_members && HAS_bitmap_ip_first_ip && HAS_bitmap_ip_last_ip &&      \
	HAS_bitmap_ip_hosts && HAS_bitmap_ip_netmask && HAS_bitmap_ip_extensions
#define KNOWS_BITMAP_IP 1
#else
#define KNOWS_BITMAP_IP 0
#endif

#if KNOWS_SETS && HAS_bitmap_port_members && HAS_bitmap_port_first_port &&                         \
	HAS_bitmap_port_last_port && HAS_bitmap_port_extensions
#define KNOWS_BITMAP_PORT 1
#else
#define KNOWS_BITMAP_PORT 0
#endif

#if KNOWS_SETS && HAS_list_set_members && HAS_set_elem_list && HAS_set_elem_id
#define KNOWS_LISTS 1
#else
#define KNOWS_LISTS 0
#endif

#if KNOWS_SETS

/* Names of types: eight characters a word, behind them zeros. */
#define NAME(a, b, c, d, e, f, g, h)                                                               \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 |             \
	 (u64)(f) << 40 | (u64)(g) << 48 | (u64)(h) << 56)

/* What has been read stays before what is read next. */
#define then_read() asm volatile("" : : : "memory")

/* ---- elements ---- */

/* SET_ELEM_EXPIRED() */
fp_inline int is_expired(window set, u64 element)
{
	if (!(seen(set, ip_set, extensions) & SET_EXPIRES))
		return 0;
	u64 offset = word_at(set, OFFSET(ip_set, offset) + 8 * PLACE_OF_TIMEOUT);
	u64 until = live_word(element + offset);
	return until && (s64)(until - bpf_jiffies64()) < 0;
}

/* ---- bitmaps: mtype_test() of ip_set_bitmap_gen.h ---- */

fp_inline outcome in_bitmap(window set, u64 members, u64 extensions, u32 id)
{
	if (!(live_word(members + id / 64 * 8) >> id % 64 & 1))
		return UNMET;
	then_read();
	return is_expired(set, extensions + id * seen(set, ip_set, dsize)) ? UNMET : GO_ON;
}

#if KNOWS_BITMAP_IP
fp_inline outcome in_bitmap_ip(window set, u64 data, u32 address)
{
	window map = look(data);
	u32 first = seen(map, bitmap_ip, first_ip), hosts = seen(map, bitmap_ip, hosts);
	if (address < first || address > seen(map, bitmap_ip, last_ip))
		return UNMET;
	u32 length = seen(map, bitmap_ip, netmask) & 63;
	if (!hosts || length > PREFIXES)
		return REASON_RULE_UNKNOWN;
	u32 id = (address & (u32)(~0ULL << (PREFIXES - length))) - first;
	if (hosts > 1)
		id /= hosts;
	return in_bitmap(set, (u64)seen(map, bitmap_ip, members),
			 data + OFFSET(bitmap_ip, extensions), id & 0xffff);
}
#endif

#if KNOWS_BITMAP_PORT
fp_inline outcome in_bitmap_port(window set, u64 data, u32 port)
{
	window map = look(data);
	u32 first = seen(map, bitmap_port, first_port);
	if (port < first || port > seen(map, bitmap_port, last_port))
		return UNMET;
	return in_bitmap(set, (u64)seen(map, bitmap_port, members),
			 data + OFFSET(bitmap_port, extensions), (port - first) & 0xffff);
}
#endif

/* ---- hashes: mtype_test() and mtype_test_cidrs() of ip_set_hash_gen.h ---- */

#if KNOWS_HASHES
/* What is looked for. */
struct hash_search {
	u64 table;    /* struct htable */
	u64 prefixes; /* which lengths there are; 0: it is no set of networks */
	u64 element;  /* as it would be stored */
	u64 compared; /* the bits of it that count */
	u64 nomatch;  /* those that say that it is an exception */
	u32 seed;
	u32 excess; /* of the length of a prefix over what is stored of it in an element */
};

fp_inline u64 element_word(u64 element)
{
	return live_word(element & ~7ULL) >> (element & 4) * 8;
}

fp_inline u32 hash_of(const struct hash_search *search, u64 element)
{
	if (search->compared >> 32)
		return hash_words((u32)element, (u32)(element >> 32), search->seed);
	return hash_word((u32)element, search->seed);
}

/* `nothing` is zero, which the verifier does not know: so every turn looks the same to it. */
fp_inline outcome in_hash(window set, const struct hash_search *search, u32 nothing)
{
	window table = look(search->table);
	u32 mask = (1U << (seen(table, htable, htable_bits) & 31)) - 1;
	u64 size = seen(set, ip_set, dsize);
	u64 wanted = search->element, bucket = nothing;
	u32 place = 0, places = 0, turn = 0;

	/* elements of eight bytes are read as words */
	if (!search->table || size & 3 || (search->compared >> 32 && size & 7))
		return REASON_RULE_UNKNOWN;
	repeat(HASH_TURNS)
	{
		or_give_up(many);
		place ^= nothing;
		places ^= nothing;
		turn ^= nothing;
		if (place >= places) {
			if (turn >= (search->prefixes ? PREFIXES : 1))
				return UNMET;
			if (search->prefixes) {
				u64 prefix = search->prefixes + turn * PREFIX_SIZE;
				u32 length = live_u8(prefix, PREFIX_LENGTH);
				if (!length)
					return UNMET;
				/* one more than the length is stored there */
				length = (length - 1) & 63;
				u64 above = ~0ULL << (PREFIXES - length);
				if (length > PREFIXES)
					return REASON_RULE_UNKNOWN;
				wanted = search->element &
					 (0xffffffff00000000ULL | __builtin_bswap32((u32)above));
				wanted |= (u64)(length - search->excess) << 56;
			}
			turn++;
			u64 first = search->table + OFFSET(htable, bucket);
			bucket = live_word(first + 8ULL * (hash_of(search, wanted) & mask));
			place = places = 0;
			if (bucket)
				places = live(bucket, hbucket, pos);
			continue;
		}
		then_read();
		u32 at = place++;
		if (!(live_word(bucket + OFFSET(hbucket, used)) >> (at & 63) & 1))
			continue;
		then_read();
		u64 element = bucket + OFFSET(hbucket, value) + at * size;
		if ((element_word(element) & search->compared) != wanted)
			continue;
		then_read();
		if (is_expired(set, element))
			continue;
		/* one that was renewed may have become an exception, which is written first */
		then_read();
		u64 word = element_word(element);
		if ((word & search->compared) != wanted)
			continue;
		return word & search->nomatch ? UNMET : GO_ON;
	}
many:
	return REASON_RULE_UNKNOWN;
}
#endif

/* ---- packets, as sets see them ---- */

/* The first four words of fp_set_has(), taken apart. */
struct set_question {
	u32 address; /* in the first dimension, host order */
	u32 port;    /* in the one that ports have in a set of this type */
	u8 transport;
};

/* ip_set_get_ip4_port(): UNMET where it finds none. */
fp_inline outcome port_of(u64 transport, u32 is_source, struct set_question *question)
{
	u32 number = transport >> 48 & 0xff;
	question->transport = number;
	question->port = 0;
	if (number == TRANSPORT_ICMP_V6)
		return REASON_RULE_UNKNOWN; /* it reads a type and code */
	if (number == TRANSPORT_TCP || number == TRANSPORT_UDP || number == TRANSPORT_UDP_LITE ||
	    number == TRANSPORT_SCTP)
		question->port = is_source ? transport & 0xffff : transport >> 16 & 0xffff;
	else if (number == TRANSPORT_ICMP)
		question->port = transport >> 32 & 0xffff;
	else
		return number ? GO_ON : UNMET;
	return transport >> 56 ? UNMET : GO_ON; /* later fragments have none */
}

/* How elements are stored: the port and the transport protocol follow the address. */
#define PORT_AND_PROTOCOL 0x00ffffff00000000ULL
fp_inline u64 element_of(const struct set_question *question)
{
	return __builtin_bswap32(question->address) |
	       (u64)network_order((u16)question->port) << 32 | (u64)question->transport << 48;
}

/* ---- sets ---- */

enum set_kind {
	SET_OF_ANOTHER_KIND,
	HASH_IP,
	HASH_IP_PORT,
	HASH_NET,
	HASH_NET_PORT,
	BITMAP_IP,
	BITMAP_PORT,
	LIST_OF_SETS,
};

/* No two types have the same name. */
fp_inline enum set_kind kind_of(window type)
{
	u64 name = word_at(type, OFFSET(ip_set_type, name));
	u64 rest = word_at(type, OFFSET(ip_set_type, name) + WORD);
	const u64 port = NAME('p', 'o', 'r', 't', 0, 0, 0, 0);
	if (KNOWS_HASH_IP && name == NAME('h', 'a', 's', 'h', ':', 'i', 'p', 0) && !rest)
		return HASH_IP;
	if (KNOWS_HASH_IP_PORT && name == NAME('h', 'a', 's', 'h', ':', 'i', 'p', ',') &&
	    rest == port)
		return HASH_IP_PORT;
	if (name == NAME('h', 'a', 's', 'h', ':', 'n', 'e', 't')) {
		if (KNOWS_HASH_NET && !rest)
			return HASH_NET;
		if (KNOWS_HASH_NET_PORT && rest == (port << 8 | ','))
			return HASH_NET_PORT;
	}
	if (KNOWS_BITMAP_IP && name == NAME('b', 'i', 't', 'm', 'a', 'p', ':', 'i') && rest == 'p')
		return BITMAP_IP;
	if (KNOWS_BITMAP_PORT && name == NAME('b', 'i', 't', 'm', 'a', 'p', ':', 'p') &&
	    rest == port >> 8)
		return BITMAP_PORT;
	if (KNOWS_LISTS && name == NAME('l', 'i', 's', 't', ':', 's', 'e', 't') && !rest)
		return LIST_OF_SETS;
	return SET_OF_ANOTHER_KIND;
}

#if KNOWS_HASHES
#define take_hash(search, type, data)                                                              \
	do {                                                                                       \
		(search)->table = (u64)live(data, type, table);                                    \
		(search)->seed = live(data, type, initval);                                        \
	} while (0)

/* Addresses are kept under a mask of the set's, if this kernel has one. */
#if HAS_hash_ip4_bitmask
#define HASH_IP_MASK(data) live(data, hash_ip4, bitmask)
#else
#define HASH_IP_MASK(data) mask_of_length(live(data, hash_ip4, netmask))
#endif
#if HAS_hash_ipport4_bitmask
#define HASH_IP_PORT_MASK(data) live(data, hash_ipport4, bitmask)
#elif HAS_hash_ipport4_netmask
#define HASH_IP_PORT_MASK(data) mask_of_length(live(data, hash_ipport4, netmask))
#else
#define HASH_IP_PORT_MASK(data) 0xffffffff
#endif

fp_inline u32 mask_of_length(u32 length)
{
	return __builtin_bswap32((u32)(~0ULL << ((PREFIXES - length) & 63)));
}

/*
 * What the kernel's hash_...4_kadt() look for in a set of their type. A global function, as fp_set_has().
 * `element` is as it would be stored; a port and a protocol do not matter where a type has none.
 */
__attribute__((noinline)) s32 fp_hash_has(u64 address, u64 kind_and_nothing, u64 element)
{
	take_argument(element);
	window set = look(address);
	fp_unused u32 kind = (u32)kind_and_nothing;
	fp_unused u64 data = (u64)seen(set, ip_set, data);
	struct hash_search search = { .element = (u32)element, .compared = 0xffffffff };
#if KNOWS_HASH_IP
	if (kind == HASH_IP) {
		take_hash(&search, hash_ip4, data);
		search.element &= HASH_IP_MASK(data);
		if (!search.element)
			return UNMET;
	}
#endif
#if KNOWS_HASH_IP_PORT
	if (kind == HASH_IP_PORT) {
		take_hash(&search, hash_ipport4, data);
		search.element &= HASH_IP_PORT_MASK(data);
		if (!search.element)
			return UNMET;
		search.element |= element & PORT_AND_PROTOCOL;
		search.compared = 0x00ffffffffffffffULL;
	}
#endif
#if KNOWS_HASH_NET
	if (kind == HASH_NET) {
		take_hash(&search, hash_net4, data);
		search.prefixes = data + OFFSET(hash_net4, nets);
		search.compared = 0xff000000ffffffffULL;
		search.nomatch = 0x00ff000000000000ULL;
	}
#endif
#if KNOWS_HASH_NET_PORT
	if (kind == HASH_NET_PORT) {
		take_hash(&search, hash_netport4, data);
		search.prefixes = data + OFFSET(hash_netport4, nets);
		search.element |= element & PORT_AND_PROTOCOL;
		search.compared = 0x7fffffffffffffffULL;
		search.nomatch = 1ULL << 63;
		search.excess = 1;
	}
#endif
	return in_hash(set, &search, kind_and_nothing >> 32);
}
#endif

enum { IS_LIST = -3 };

/* ip_set_test() of one set; IS_LIST: it consists of others. */
fp_inline outcome ask_set(u64 address, u64 asked, u64 addresses, u64 transport)
{
	window set = look(address);
	window type = look((u64)seen(set, ip_set, type));
	u32 dimensions = asked >> 24 & 0xff, first = asked >> 16 & 1, second = asked >> 17 & 1;
	u8 family = seen(set, ip_set, family);
	if (dimensions < seen(type, ip_set_type, dimension) || (family && family != FAMILY_IPV4))
		return UNMET;
	u8 extensions = seen(set, ip_set, extensions);
	if (extensions & ~(SET_EXPIRES | SET_COMMENTS | SET_PACKET_INFO | SET_DESTROYS))
		return REASON_RULE_UNKNOWN;
	u64 offset = word_at(set, OFFSET(ip_set, offset) + 8 * PLACE_OF_TIMEOUT);
	if (extensions & SET_EXPIRES && offset + 8 > (u64)seen(set, ip_set, dsize))
		return REASON_RULE_UNKNOWN;
	u64 data = (u64)seen(set, ip_set, data);
	enum set_kind kind = kind_of(type);
	if (!data || kind == SET_OF_ANOTHER_KIND)
		return REASON_RULE_UNKNOWN;
	if (kind == LIST_OF_SETS)
		return IS_LIST;

	struct set_question question = { .port = 0,
					 .address = first ? addresses : addresses >> 32 };
	if (kind == HASH_IP_PORT || kind == HASH_NET_PORT || kind == BITMAP_PORT) {
		u32 is_source = kind == BITMAP_PORT ? first : second;
		outcome result = port_of(transport, is_source, &question);
		if (result != GO_ON)
			return result;
	}
#if KNOWS_BITMAP_IP
	if (kind == BITMAP_IP)
		return in_bitmap_ip(set, data, question.address);
#endif
#if KNOWS_BITMAP_PORT
	if (kind == BITMAP_PORT) {
		if (question.transport != TRANSPORT_TCP && question.transport != TRANSPORT_UDP)
			return UNMET;
		return in_bitmap_port(set, data, question.port);
	}
#endif
#if KNOWS_HASHES
	return fp_hash_has(address, kind | (asked & ~0xffffffffULL), element_of(&question));
#else
	return REASON_RULE_UNKNOWN;
#endif
}
#endif

/*
 * ip_set_test(): GO_ON if a packet is in a set, UNMET if not, or a reason. `sets` is where the namespace
 * keeps all of its sets (struct ip_set_net), `asked` the argument of a CHECK_SET; then both addresses in
 * host order, source first; ports, type and code, protocol, and whether it is a later fragment. A global
 * function, so that the verifier goes through it once and not wherever it has come from.
 */
__attribute__((noinline)) s32 fp_set_has(u64 sets, u64 asked, u64 addresses, u64 transport)
{
	take_argument(sets);
	take_argument(asked);
	take_argument(addresses);
	take_argument(transport);
#if KNOWS_SETS
	if (!sets)
		return REASON_RULE_UNKNOWN;
	u64 all = (u64)live(sets, ip_set_net, ip_set_list);
	u64 nothing = asked >> 32; /* see in_hash() */
	u64 list = nothing, member = nothing, end = nothing;
	u32 index = asked & 0xffff;

	repeat(LIST_TURNS)
	{
		or_give_up(many);
		u64 address = live_word(all + 8ULL * index);
		if (!all || !address)
			return REASON_RULE_UNKNOWN;
		outcome result = ask_set(address, asked, addresses, transport);
#if KNOWS_LISTS
		if (result == IS_LIST) {
			if (list)
				return REASON_RULE_UNKNOWN; /* the kernel has none in another */
			list = address;
			member = end = (u64)live(address, ip_set, data) + OFFSET(list_set, members);
		} else if (result != GO_ON && result != UNMET) {
			return result;
		} else if (!list) {
			return result;
		} else if (result == GO_ON &&
			   !is_expired(look(list), member - OFFSET(set_elem, list))) {
			/* list_set_ktest() */
			return GO_ON;
		}
		member = live_word(member);
		if (!member)
			return REASON_RULE_UNKNOWN;
		if (member == end)
			return UNMET;
		index = live(member - OFFSET(set_elem, list), set_elem, id);
#else
		(void)list, (void)member, (void)end, (void)index;
		return result;
#endif
	}
many:
	return REASON_RULE_UNKNOWN;
#else
	return REASON_RULE_UNKNOWN;
#endif
}

#endif
