/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The kernel's own routing table, walked live: fib_table_lookup() over the same trie, under the same RCU
 * protection, with the same result. A route that has been changed is seen by the next packet.
 * bpf_fib_lookup() costs several times as much and tells less.
 *
 * What a walk has found is kept for the packets behind (`kept_route`), and holds as long as the kernel itself would
 * go on with a route that it has in its hand: docs/architecture.md tells why nothing is missed.
 *
 * Only where no policy rules exist: then all namespaces' own tables are one trie, fib_main.
 */
#ifndef FPM_LIVE_FIB_H
#define FPM_LIVE_FIB_H

#include "network.h"

/* Not where another packet's program may come in between: what is kept lies in one place for each processor. */
#ifndef KEEPS_ROUTES
#define KEEPS_ROUTES 1
#endif

enum {
	ROUTE_UNICAST = 1,   /* RTN_UNICAST */
	ROUTE_LOCAL = 2,     /* RTN_LOCAL */
	ROUTE_DEAD = 1,	     /* RTNH_F_DEAD */
	ROUTE_LINKDOWN = 16, /* RTNH_F_LINKDOWN */
	SCOPE_LINK = 253,    /* RT_SCOPE_LINK */
	GATEWAY_IPV4 = 2,    /* AF_INET */
	KEY_BITS = 32,
	STEPS = 72,	 /* down a trie of 32 bits and back */
	ALIASES = 16,	 /* routes to one prefix */
	METRIC_LOCK = 0, /* RTAX_LOCK - 1 */
	METRIC_MTU = 1,	 /* RTAX_MTU - 1 */
	ALIAS_USED = 1,	 /* FA_S_ACCESSED */
};

struct route {
	u64 info; /* struct fib_info */
	u64 hop;  /* struct fib_nh_common of its next hop, if it has one only */
	u8 type;
	u8 several; /* next hops */
	u8 lasts;   /* the kernel counts it as a change when this route goes */
};

/* The first word of a key_vector: its key and how many bits it looks at. */
struct node_head {
	u32 key;
	u8 position;
	u8 bits;
	u8 suffix;
};

fp_inline struct node_head head_of(window node)
{
	u64 word = node[0];
	struct node_head head = {
		.key = (u32)(word >> OFFSET(key_vector, key) * 8),
		.position = (u8)(word >> OFFSET(key_vector, pos) * 8),
		.bits = (u8)(word >> OFFSET(key_vector, bits) * 8),
		.suffix = (u8)(word >> OFFSET(key_vector, slen) * 8),
	};
	return head;
}

/* The bits that differ between a key and a node's, from the node's position on: get_cindex(). */
fp_inline u64 index_in(u32 key, struct node_head head)
{
	return (u64)(key ^ head.key) >> (head.position & 63);
}

fp_inline u64 child_of(u64 node, u64 index)
{
	return live_word(node + OFFSET(key_vector, tnode) + (index << 3));
}

/* node_parent(): what a key_vector is part of has it. */
fp_inline u64 parent_of(u64 node)
{
	u64 whole = node - OFFSET(tnode, kv);
	return (u64)live(whole, tnode, parent);
}

/* The first next hop of a route that has its own. */
fp_inline u64 hop_of(u64 info)
{
	return info + OFFSET(fib_info, fib_nh) + OFFSET(fib_nh, nh_common);
}

/* Judges the routes to the prefix that a leaf holds; GO_ON: none of them is for this key. */
fp_inline outcome judge_leaf(u64 leaf, u32 difference, struct route *route)
{
	u64 at = (u64)live(leaf, key_vector, leaf);
	repeat(ALIASES)
	{
		or_give_up(many);
		if (!at)
			return GO_ON;
		window alias = look(at);
		u8 suffix = seen(alias, fib_alias, fa_slen);
		if ((u64)difference >= 1ULL << (suffix & 63)) {
			at = (u64)seen(alias, fib_alias, fa_list);
			continue;
		}
#if HAS_fib_alias_fa_dscp
		if (seen(alias, fib_alias, fa_dscp))
			return REASON_NEXT_HOP;
#elif HAS_fib_alias_fa_tos
		if (seen(alias, fib_alias, fa_tos))
			return REASON_NEXT_HOP;
#endif
		u64 info = (u64)seen(alias, fib_alias, fa_info);
		window about = look(info);
		if (seen(about, fib_info, fib_dead) ||
		    seen(about, fib_info, fib_flags) & ROUTE_DEAD)
			return REASON_NEXT_HOP; /* the kernel looks further */
		route->info = info;
		route->type = seen(alias, fib_alias, fa_type);
		route->several = 0;
		route->lasts = 0;
		u64 object = (u64)seen(about, fib_info, nh);
		if (object) {
			window hop = look(object);
			u64 inner = (u64)seen(hop, nexthop, nh_info);
			if (seen(hop, nexthop, is_group)) {
				route->several = 1;
				return FORWARD;
			}
			if (live(inner, nh_info, reject_nh))
				return REASON_ROUTE_TYPE;
			route->hop = inner + OFFSET(nh_info, fib_nhc);
			return FORWARD;
		}
		route->several = seen(about, fib_info, fib_nhs) != 1;
		route->hop = hop_of(info);
		route->lasts = !route->several && seen(alias, fib_alias, fa_state) & ALIAS_USED;
		return FORWARD;
	}
many:
	return REASON_NEXT_HOP;
}

/*
 * fib_table_lookup(): down to the longest match, and back up where that one is not for the key. One
 * loop for both, since each turn follows one pointer. FORWARD: `route` is what was found.
 */
fp_inline outcome walk_to_route(struct network network, u32 address, struct route *route)
{
	u64 table = (u64)of_network(network, fib_main);
	u64 root = (u64)live(table, fib_table, tb_data);
	u32 key = __builtin_bswap32(address);
	u64 parent = root; /* the last node from which there is another way */
	u64 turn = 0;	   /* which child of it we took */
	u64 node = child_of(root, 0);
	int down = 1; /* still comparing every bit: step 1 of the kernel's walk */

	repeat(STEPS)
	{
		or_give_up(lost);
		outcome result;
		if (!node)
			goto back;
		struct node_head head = head_of(look(node));
		u64 index = index_in(key, head);
		if (down && index < 1ULL << (head.bits & 63)) {
			if (head.bits) {
				/* only where a shorter prefix may be found below */
				if (head.suffix > head.position) {
					parent = node;
					turn = index;
				}
				node = child_of(node, index);
				continue;
			}
		} else {
			down = 0;
			/* prefix_mismatch() */
			if (((key ^ head.key) & (head.key | -head.key)) ||
			    head.suffix == head.position)
				goto back;
			if (head.bits) {
				node = child_of(node, 0);
				continue;
			}
		}
		result = judge_leaf(node, key ^ head.key, route);
		if (result != GO_ON)
			return result;
	back:
		down = 0;
		if (!turn) {
			u32 of = head_of(look(parent)).key;
			if (parent == root)
				return REASON_NO_ROUTE;
			parent = parent_of(parent);
			struct node_head above = head_of(look(parent));
			turn = (u64)(of ^ above.key) >> (above.position & 63);
			node = 0;
			continue;
		}
		turn &= turn - 1;
		node = child_of(parent, turn);
	}
lost:
	return REASON_NO_ROUTE;
}

/*
 * Whether an address is one of the namespace's own: those have a route of their own, to 32 bits, of type
 * local. Only the way down to that one is walked.
 */
fp_inline int walk_to_own(struct network network, u32 address)
{
	u64 table = (u64)of_network(network, fib_main);
	u32 key = __builtin_bswap32(address);
	u64 node = child_of((u64)live(table, fib_table, tb_data), 0);

	repeat(KEY_BITS)
	{
		or_give_up(lost);
		if (!node)
			return 0;
		struct node_head head = head_of(look(node));
		u64 index = index_in(key, head);
		if (index >= 1ULL << (head.bits & 63))
			return 0;
		if (!head.bits)
			break;
		node = child_of(node, index);
	}
	u64 alias = (u64)live(node, key_vector, leaf);
	repeat(ALIASES)
	{
		or_give_up(lost);
		if (!alias)
			return 0;
		window about = look(alias);
		/* the longest prefixes come first */
		if (seen(about, fib_alias, fa_slen))
			return 0;
		if (seen(about, fib_alias, fa_type) == ROUTE_LOCAL)
			return 1;
		alias = (u64)seen(about, fib_alias, fa_list);
	}
lost:
	return 1;
}

#if KEEPS_ROUTES
enum { ROUTES_KEPT_BITS = 11 };

/* What a walk has found for an address. */
struct kept_route {
	u64 generation; /* of the table, when the walk began */
	u64 network;	/* whose table it was: numbers of namespaces do not come again */
	u32 address;
	u32 known; /* KNOWN_* */
	struct route route;
	u32 since; /* the clock when the route was first seen */
	u32 reserved;
};
enum { KNOWN_ROUTE = 1, KNOWN_FOREIGN = 2, KNOWN_SEEN = 4, TICKS_TO_BELIEVE = 32 };

struct {
	map_number(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	map_number(max_entries, 1 << ROUTES_KEPT_BITS);
	map_type(key, u32);
	map_type(value, struct kept_route);
} fpd_routes SEC(".maps");

/*
 * Two numbers of the kernel's: one that it compares where it keeps a route itself (rt_genid: raised behind each change
 * of the table, of devices and their addresses, before whoever made it hears that it is done), and one for its own
 * listeners (fib_seq), which also knows of routes that nobody has used yet.
 */
fp_inline u64 table_generation(struct network network)
{
	return (u64)(u32)of_network(network, rt_genid) << 32 | (u32)of_network(network, fib_seq);
}

fp_inline struct kept_route *place_of_route(u32 address)
{
	u32 place = address * 0x9e3779b1u >> (32 - ROUTES_KEPT_BITS);
	return bpf_map_lookup_elem(&fpd_routes, &place);
}

/* Whether what is kept is of this address, and of the table as it is. */
fp_inline int is_current(const struct kept_route *kept, struct network network, u32 address)
{
	return kept->address == address && kept->generation == table_generation(network) &&
	       kept->network == live(network.address, net, net_cookie);
}

/* Before a walk, which reads nothing before the generation has been read: the exchange is a barrier. */
fp_inline void begin_to_keep(struct kept_route *kept, struct network network, u32 address)
{
	u32 known = kept->known;
	if (!is_current(kept, network, address)) {
		kept->address = address;
		kept->generation = table_generation(network);
		kept->network = live(network.address, net, net_cookie);
		known = 0;
	}
	__sync_lock_test_and_set(&kept->known, known);
}

/*
 * A route that is being removed while somebody uses it for the first time is no change to the kernel, and neither is
 * one that a listener refuses. So one walk is not believed, but one that finds the same some time later: by then it
 * is neither.
 */
fp_inline void note_route(struct kept_route *kept, const struct route *route)
{
	u32 now = (u32)bpf_jiffies64();
	if (!route->lasts)
		kept->known &= ~(u32)KNOWN_SEEN;
	else if (!(kept->known & KNOWN_SEEN) || kept->route.info != route->info) {
		kept->known |= KNOWN_SEEN;
		kept->since = now;
	} else if (now - kept->since >= TICKS_TO_BELIEVE)
		kept->known |= KNOWN_ROUTE;
	kept->route = *route;
}

/* The walks are functions of their own: every packet but the first goes without, and they are verified once. */
__attribute__((noinline)) s32 fp_fib_walk(struct kept_route *kept, u64 network_address, u32 address)
{
	if (!kept)
		return REASON_NO_ROUTE;
	struct network network = network_at(network_address);
	begin_to_keep(kept, network, address);
	struct route route = { 0 };
	outcome result = walk_to_route(network, address, &route);
	if (result == FORWARD)
		note_route(kept, &route);
	return result;
}

__attribute__((noinline)) s32 fp_fib_walk_to_own(struct kept_route *kept, u64 network_address,
						 u32 address)
{
	if (!kept)
		return 1;
	struct network network = network_at(network_address);
	begin_to_keep(kept, network, address);
	if (walk_to_own(network, address))
		return 1;
	kept->known |= KNOWN_FOREIGN;
	return 0;
}

/* The route to an address. FORWARD: `route` is what was found. */
fp_inline outcome fp_fib_find(struct network network, u32 address, struct route *route)
{
	struct kept_route *kept = place_of_route(address);
	if (!kept)
		return REASON_NO_ROUTE;
	if (!(kept->known & KNOWN_ROUTE) || !is_current(kept, network, address)) {
		outcome result = fp_fib_walk(kept, network.address, address);
		if (result != FORWARD)
			return result;
	}
	*route = kept->route;
	return FORWARD;
}

/* Whether an address is one of the namespace's own. */
fp_inline int fp_fib_is_own(struct network network, u32 address)
{
	struct kept_route *kept = place_of_route(address);
	if (!kept)
		return 1;
	if (kept->known & KNOWN_FOREIGN && is_current(kept, network, address))
		return 0;
	return fp_fib_walk_to_own(kept, network.address, address);
}
#else
#define fp_fib_find(network, address, route) walk_to_route(network, address, route)
#define fp_fib_is_own(network, address) walk_to_own(network, address)
#endif

#endif
