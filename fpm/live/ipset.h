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
	HASH_TURNS = 1024, /* where they have to be bounded: buckets and elements looked at */
	LIST_TURNS = 8,
};

/*
 * A look-up. What it has to remember is kept beside the stack, of which a program that judges has none
 * to spare; so the verifier does not know any of it either, and every turn of a loop looks the same to it.
 */
struct set_search {
	u64 sets;    /* where the namespace keeps all of its sets, struct ip_set_net */
	u64 network; /* the namespace, struct net */
	u32 asked;   /* the argument of a CHECK_SET */
	u32 source;  /* in host order */
	u32 destination;
	u16 source_port;
	u16 destination_port;
	u16 icmp;
	u8 transport;
	u8 later_fragment;
	u32 excess;   /* of the length of a prefix over what is stored of it in an element */
	u64 list;     /* the list:set whose members are asked one after the other */
	u64 member;   /* of it: where the next one stands */
	u64 end;      /* of it */
	u64 set;      /* struct ip_set */
	u64 table;    /* struct htable */
	u64 prefixes; /* which lengths there are; 0: it is no set of networks */
	u64 element;  /* as it would be stored */
	u64 compared; /* the bits of it that count */
	u64 nomatch;  /* those that say that it is an exception */
	u64 wanted;   /* the element, under one of the lengths */
	u64 bucket;
	u64 size; /* of an element with all that belongs to it */
	u32 seed;
	u32 place; /* in a bucket */
	u32 places;
	u32 turn;
	s32 result;
	u32 spare;
	u64 closer; /* which indices are not to be tried at once: one bit for many of them */
	u32 met[FILTER_MET]; /* counters of the rules that a packet has met so far */
	struct filter_rows rows;
};

struct {
	map_number(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, struct set_search);
} fpd_set_search SEC(".maps");

typedef volatile struct set_search *search;

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
fp_inline int is_expired(u64 set, u64 element)
{
	window about = look(set);
	if (!(seen(about, ip_set, extensions) & SET_EXPIRES))
		return 0;
	u64 until =
		live_word(element + word_at(about, OFFSET(ip_set, offset) + 8 * PLACE_OF_TIMEOUT));
	return until && (s64)(until - bpf_jiffies64()) < 0;
}

/* ---- bitmaps: mtype_test() of ip_set_bitmap_gen.h ---- */

fp_inline outcome in_bitmap(search search, u64 members, u64 extensions, u32 id)
{
	if (!(live_word(members + id / 64 * 8) >> id % 64 & 1))
		return UNMET;
	then_read();
	return is_expired(search->set, extensions + id * search->size) ? UNMET : GO_ON;
}

#if KNOWS_BITMAP_IP
fp_inline outcome in_bitmap_ip(search search, u64 data, u32 address)
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
	return in_bitmap(search, (u64)seen(map, bitmap_ip, members),
			 data + OFFSET(bitmap_ip, extensions), id & 0xffff);
}
#endif

#if KNOWS_BITMAP_PORT
fp_inline outcome in_bitmap_port(search search, u64 data, u32 port)
{
	window map = look(data);
	u32 first = seen(map, bitmap_port, first_port);
	if (port < first || port > seen(map, bitmap_port, last_port))
		return UNMET;
	return in_bitmap(search, (u64)seen(map, bitmap_port, members),
			 data + OFFSET(bitmap_port, extensions), (port - first) & 0xffff);
}
#endif

/* ---- hashes: mtype_test() and mtype_test_cidrs() of ip_set_hash_gen.h ---- */

#if KNOWS_HASHES
fp_inline u64 element_word(u64 element)
{
	return live_word(element & ~7ULL) >> (element & 4) * 8;
}

/* What to look for under the next length of prefix: GO_ON, or UNMET when there is none any more. */
fp_inline outcome next_prefix(search search)
{
	u32 turn = search->turn;
	search->turn = turn + 1;
	search->wanted = search->element;
	if (!search->prefixes)
		return turn ? UNMET : GO_ON;
	if (turn >= PREFIXES)
		return UNMET;
	u32 length = live_u8(search->prefixes + turn * PREFIX_SIZE, PREFIX_LENGTH);
	if (!length)
		return UNMET;
	/* one more than the length is stored there */
	length = (length - 1) & 63;
	if (length > PREFIXES)
		return REASON_RULE_UNKNOWN;
	u32 mask = __builtin_bswap32((u32)(~0ULL << (PREFIXES - length)));
	search->wanted = (search->element & (0xffffffff00000000ULL | mask)) |
			 (u64)(length - search->excess) << 56;
	return GO_ON;
}

/* The bucket that it would be in. */
fp_inline void find_bucket(search search)
{
	u32 low = (u32)search->wanted, hash;
	if (search->compared >> 32)
		hash = hash_words(low, (u32)(search->wanted >> 32), search->seed);
	else
		hash = hash_word(low, search->seed);
	window table = look(search->table);
	hash &= (1U << (seen(table, htable, htable_bits) & 31)) - 1;
	u64 bucket = live_word(search->table + OFFSET(htable, bucket) + 8ULL * hash);
	search->bucket = bucket;
	search->place = 0;
	search->places = bucket ? live(bucket, hbucket, pos) : 0;
}

enum { TO_BE_CONTINUED = -4 };

/* Goes on by one element or one bucket. */
fp_inline outcome search_on(search search)
{
	u32 place = search->place;
	if (place >= search->places) {
		outcome result = next_prefix(search);
		if (result != GO_ON)
			return result;
		find_bucket(search);
		return TO_BE_CONTINUED;
	}
	search->place = place + 1;
	then_read();
	u64 bucket = search->bucket;
	if (!(live_word(bucket + OFFSET(hbucket, used)) >> (place & 63) & 1))
		return TO_BE_CONTINUED;
	then_read();
	u64 element = bucket + OFFSET(hbucket, value) + place * search->size;
	if ((element_word(element) & search->compared) != search->wanted)
		return TO_BE_CONTINUED;
	then_read();
	if (is_expired(search->set, element))
		return TO_BE_CONTINUED;
	/* one that was renewed may have become an exception, which is written first */
	then_read();
	u64 word = element_word(element);
	if ((word & search->compared) != search->wanted)
		return TO_BE_CONTINUED;
	return word & search->nomatch ? UNMET : GO_ON;
}

#if !FP_MAY_GOTO
static long search_turn(u32 turn, void *nothing)
{
	(void)turn, (void)nothing;
	u32 first = 0;
	struct set_search *search = bpf_map_lookup_elem(&fpd_set_search, &first);
	if (!search)
		return 1;
	search->result = search_on(search);
	return search->result != TO_BE_CONTINUED;
}
#endif

fp_inline outcome in_hash(search search)
{
	/* elements of eight bytes are read as words */
	if (!search->table || search->size & 3 || (search->compared >> 32 && search->size & 7))
		return REASON_RULE_UNKNOWN;
	search->turn = search->place = search->places = 0;
#if FP_MAY_GOTO
	repeat(HASH_TURNS)
	{
		or_give_up(many);
		outcome result = search_on(search);
		if (result != TO_BE_CONTINUED)
			return result;
	}
many:
	return REASON_RULE_UNKNOWN;
#else
	search->result = TO_BE_CONTINUED;
	bpf_loop(HASH_TURNS, search_turn, 0, 0);
	outcome result = search->result;
	return result == TO_BE_CONTINUED ? REASON_RULE_UNKNOWN : result;
#endif
}
#endif

/* ---- packets, as sets see them ---- */

/* ip_set_get_ip4_port(): in network order, or UNMET where it finds none. */
fp_inline outcome port_of(search search, u32 is_source, u32 *port)
{
	u32 number = search->transport;
	*port = 0;
	if (number == TRANSPORT_ICMP_V6)
		return REASON_RULE_UNKNOWN; /* it reads a type and code */
	if (number == TRANSPORT_TCP || number == TRANSPORT_UDP || number == TRANSPORT_UDP_LITE ||
	    number == TRANSPORT_SCTP)
		*port = is_source ? search->source_port : search->destination_port;
	else if (number == TRANSPORT_ICMP)
		*port = search->icmp;
	else
		return number ? GO_ON : UNMET;
	return search->later_fragment ? UNMET : GO_ON;
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
#define take_hash(type, data)                                                                      \
	do {                                                                                       \
		search->table = (u64)live(data, type, table);                                      \
		search->seed = live(data, type, initval);                                          \
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

/* What the kernel's hash_...4_kadt() look for in a set of their type: GO_ON, or UNMET if for nothing. */
fp_inline outcome take_search(search search, fp_unused enum set_kind kind, fp_unused u64 data,
			      u32 address, u32 port)
{
	/* how elements are stored: the port and the transport protocol follow the address */
	fp_unused u64 behind = (u64)network_order((u16)port) << 32 | (u64)search->transport << 48;
	u64 element = __builtin_bswap32(address);
	search->prefixes = search->nomatch = search->table = 0;
	search->excess = 0;
	search->compared = 0xffffffff;
#if KNOWS_HASH_IP
	if (kind == HASH_IP) {
		take_hash(hash_ip4, data);
		element &= HASH_IP_MASK(data);
		if (!element)
			return UNMET;
	}
#endif
#if KNOWS_HASH_IP_PORT
	if (kind == HASH_IP_PORT) {
		take_hash(hash_ipport4, data);
		element &= HASH_IP_PORT_MASK(data);
		if (!element)
			return UNMET;
		element |= behind;
		search->compared = 0x00ffffffffffffffULL;
	}
#endif
#if KNOWS_HASH_NET
	if (kind == HASH_NET) {
		take_hash(hash_net4, data);
		search->prefixes = data + OFFSET(hash_net4, nets);
		search->compared = 0xff000000ffffffffULL;
		search->nomatch = 0x00ff000000000000ULL;
	}
#endif
#if KNOWS_HASH_NET_PORT
	if (kind == HASH_NET_PORT) {
		take_hash(hash_netport4, data);
		element |= behind;
		search->prefixes = data + OFFSET(hash_netport4, nets);
		search->compared = 0x7fffffffffffffffULL;
		search->nomatch = 1ULL << 63;
		search->excess = 1;
	}
#endif
	search->element = element;
	return GO_ON;
}
#endif

enum { IS_LIST = -3 };

/* ip_set_test() of one set; IS_LIST: it consists of others. */
fp_inline outcome ask_set(search search)
{
	window set = look(search->set);
	window type = look((u64)seen(set, ip_set, type));
	u32 asked = search->asked, first = asked >> 16 & 1;
	u8 family = seen(set, ip_set, family);
	if (asked >> 24 < seen(type, ip_set_type, dimension) || (family && family != FAMILY_IPV4))
		return UNMET;
	u8 extensions = seen(set, ip_set, extensions);
	if (extensions & ~(SET_EXPIRES | SET_COMMENTS | SET_PACKET_INFO | SET_DESTROYS))
		return REASON_RULE_UNKNOWN;
	u64 offset = word_at(set, OFFSET(ip_set, offset) + 8 * PLACE_OF_TIMEOUT);
	u64 size = (u64)seen(set, ip_set, dsize);
	if (extensions & SET_EXPIRES && offset + 8 > size)
		return REASON_RULE_UNKNOWN;
	search->size = size;
	u64 data = (u64)seen(set, ip_set, data);
	enum set_kind kind = kind_of(type);
	if (!data || kind == SET_OF_ANOTHER_KIND)
		return REASON_RULE_UNKNOWN;
	if (kind == LIST_OF_SETS)
		return IS_LIST;

	u32 port = 0;
	if (kind == HASH_IP_PORT || kind == HASH_NET_PORT || kind == BITMAP_PORT) {
		u32 is_source = kind == BITMAP_PORT ? first : asked >> 17 & 1;
		outcome result = port_of(search, is_source, &port);
		if (result != GO_ON)
			return result;
	}
#if KNOWS_BITMAP_PORT
	if (kind == BITMAP_PORT) {
		if (search->transport != TRANSPORT_TCP && search->transport != TRANSPORT_UDP)
			return UNMET;
		return in_bitmap_port(search, data, port);
	}
#endif
	fp_unused u32 address = first ? search->source : search->destination;
#if KNOWS_BITMAP_IP
	if (kind == BITMAP_IP)
		return in_bitmap_ip(search, data, address);
#endif
#if KNOWS_HASHES
	outcome result = take_search(search, kind, data, address, port);
	if (result != GO_ON)
		return result;
	return in_hash(search);
#else
	return REASON_RULE_UNKNOWN;
#endif
}

/* Goes on to the next member of a list: GO_ON, UNMET if there is none. */
fp_inline outcome next_member(search search, u32 *index)
{
#if KNOWS_LISTS
	u64 member = live_word(search->member);
	search->member = member;
	if (!member)
		return REASON_RULE_UNKNOWN;
	if (member == search->end)
		return UNMET;
	*index = live(member - OFFSET(set_elem, list), set_elem, id);
	return GO_ON;
#else
	(void)search, (void)index;
	return REASON_RULE_UNKNOWN;
#endif
}

/* Begins with the first member of a list: list_set_ktest() */
fp_inline outcome take_list(search search)
{
#if KNOWS_LISTS
	if (search->list)
		return REASON_RULE_UNKNOWN; /* the kernel has none in another */
	search->list = search->set;
	u64 members = (u64)live(search->set, ip_set, data) + OFFSET(list_set, members);
	search->member = search->end = members;
	return GO_ON;
#else
	(void)search;
	return REASON_RULE_UNKNOWN;
#endif
}
#endif

#if FP_MAY_GOTO
#include "straight.h"
#endif

/*
 * ip_set_test(): GO_ON if a packet is in a set, UNMET if not, or a reason. A global function, so that the
 * verifier goes through it once and not wherever it has come from.
 */
__attribute__((noinline)) s32 fp_set_has(struct set_search *asked)
{
	if (!asked)
		return REASON_RULE_UNKNOWN;
#if KNOWS_SETS
	search search = asked;
#if FP_MAY_GOTO
	/* elsewhere the stack has no room for both */
	outcome straight = try_at_once(search);
	if (straight != LOOK_CLOSER)
		return straight;
#endif
	u32 index = search->asked & 0xffff;
	search->list = 0;
	if (!search->sets)
		return REASON_RULE_UNKNOWN;

	repeat(LIST_TURNS)
	{
		or_give_up(many);
		u64 all = (u64)live(search->sets, ip_set_net, ip_set_list);
		u64 address = live_word(all + 8ULL * index);
		if (!all || !address)
			return REASON_RULE_UNKNOWN;
		search->set = address;
		outcome result = ask_set(search);
		if (result == IS_LIST) {
			result = take_list(search);
			if (result != GO_ON)
				return result;
		} else if ((result != GO_ON && result != UNMET) || !search->list) {
			return result;
		} else if (result == GO_ON) {
#if KNOWS_LISTS
			u64 element = search->member - OFFSET(set_elem, list);
			if (!is_expired(search->list, element))
				return GO_ON;
#endif
		}
		result = next_member(search, &index);
		if (result != GO_ON)
			return result;
	}
many:
#endif
	return REASON_RULE_UNKNOWN;
}

#endif
