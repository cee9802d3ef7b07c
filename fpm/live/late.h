/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Conditions of rules that only the kernel's memory answers. Included by filter.h where there are any.
 */
#ifndef FPM_LIVE_LATE_H
#define FPM_LIVE_LATE_H

#include "fib.h"
#include "ipset.h"
#include "network.h"

enum {
	TYPE_UNICAST = 1, /* RTN_UNICAST and so on */
	TYPE_BROADCAST = 3,
	TYPE_MULTICAST = 5,
};

fp_inline outcome type_is_one_of(u32 type, u32 types)
{
	return types >> (type & 31) & 1 ? GO_ON : UNMET;
}

/*
 * inet_addr_type(): the local table alone is asked, but as long as there were no policy rules it is one
 * trie with the main one, and what either has is the answer. Types that are an error there (blackhole and
 * the like) make a unicast address.
 */
fp_inline outcome fp_source_is(const struct packet *packet, u32 source, u32 types)
{
	if (source >> 24 == 0 || source == 0xffffffff)
		return type_is_one_of(TYPE_BROADCAST, types);
	if (source >> 28 == 0xe)
		return type_is_one_of(TYPE_MULTICAST, types);
	struct network network = network_at(packet->network);
	if (!packet->network || of_network(network, fib_has_custom_rules))
		return REASON_RULE_UNKNOWN;
	struct route route = { 0 };
	/* where no route is found it may as well be that the search was given up */
	if (fp_fib_find(network, __builtin_bswap32(source), &route) != FORWARD || route.several)
		return REASON_RULE_UNKNOWN;
	if (route.type > TYPE_MULTICAST)
		return type_is_one_of(TYPE_UNICAST, types);
	/* the kernel may pass over a route by a link that is down */
	if (live(route.hop, fib_nh_common, nhc_flags) & (ROUTE_DEAD | ROUTE_LINKDOWN))
		return REASON_RULE_UNKNOWN;
	return type_is_one_of(route.type, types);
}

/* GO_ON if a condition holds, UNMET if not, or a reason. */
fp_inline outcome fp_filter_late(const struct packet *packet, const struct filter_key *key,
				 const struct filter_check *check)
{
	u32 kind = check->kind & CHECK_KIND;
	if (FILTER_CHECKS_FOR(CHECK_SOURCE_TYPE) && kind == CHECK_SOURCE_TYPE)
		return fp_source_is(packet, key->source, check->argument);
	if (FILTER_CHECKS_FOR(CHECK_SET) && kind == CHECK_SET)
		return fp_set_has(
			check->value, check->argument, key->source | (u64)key->destination << 32,
			key->source_port | (u64)key->destination_port << 16 | (u64)key->icmp << 32 |
				(u64)key->transport << 48 | (u64)(key->later_fragment & 1) << 56);
	return REASON_RULE_UNKNOWN;
}

#endif
