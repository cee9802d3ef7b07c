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
 * the like) make a unicast address. A global function, as fp_set_has().
 */
__attribute__((noinline)) s32 fp_source_is(struct set_search *asked, u32 types)
{
	if (!asked)
		return REASON_RULE_UNKNOWN;
	u32 source = asked->source;
	if (source >> 24 == 0 || source == 0xffffffff)
		return type_is_one_of(TYPE_BROADCAST, types);
	if (source >> 28 == 0xe)
		return type_is_one_of(TYPE_MULTICAST, types);
	struct network network = network_at(asked->network);
	if (!asked->network || of_network(network, fib_has_custom_rules))
		return REASON_RULE_UNKNOWN;
	struct route route = { 0 };
	/* where no route is found it may as well be that the search was given up */
	if (walk_to_route(network, __builtin_bswap32(source), &route) != FORWARD || route.several)
		return REASON_RULE_UNKNOWN;
	if (route.type > TYPE_MULTICAST)
		return type_is_one_of(TYPE_UNICAST, types);
	/* the kernel may pass over a route by a link that is down */
	if (live(route.hop, fib_nh_common, nhc_flags) & (ROUTE_DEAD | ROUTE_LINKDOWN))
		return REASON_RULE_UNKNOWN;
	return type_is_one_of(route.type, types);
}

fp_inline struct set_search *late_search(void)
{
	u32 first = 0;
	return bpf_map_lookup_elem(&fpd_set_search, &first);
}

/* What may be asked later on of a packet: not to be remembered on the stack. */
fp_inline void fp_filter_remember(const struct packet *packet, const struct filter_key *key)
{
	struct set_search *search = late_search();
	if (!search)
		return;
	search->network = packet->network;
	search->source = key->source;
	search->destination = key->destination;
	search->source_port = key->source_port;
	search->destination_port = key->destination_port;
	search->icmp = key->icmp;
	search->transport = key->transport;
	search->later_fragment = key->later_fragment;
}

#if FP_MAY_GOTO
/*
 * Whether the set has the packet that the only condition of a rule is about, without a call: LOOK_CLOSER if
 * that does not tell. The way back from a call costs as much as half the look-up: processors that must not
 * foresee it (Safe RET) have to find out each time.
 */
fp_inline outcome fp_filter_set_at_once(const struct filter_check *check)
{
	struct set_search *search = late_search();
	u32 kind = check->kind;
	if (!search || (kind & ~CHECK_NEGATED) != (CHECK_SET | CHECK_LAST))
		return LOOK_CLOSER;
	search->sets = check->value;
	search->asked = check->argument;
	return as_asked(kind, try_at_once(search));
}
#endif

/* GO_ON if a condition holds, UNMET if not, or a reason. */
fp_inline outcome fp_filter_late(const struct filter_check *check)
{
	u32 kind = check->kind & CHECK_KIND;
	struct set_search *search = late_search();
	if (!search)
		return REASON_RULE_UNKNOWN;
	if (FILTER_CHECKS_FOR(CHECK_SOURCE_TYPE) && kind == CHECK_SOURCE_TYPE)
		return fp_source_is(search, check->argument);
	if (FILTER_CHECKS_FOR(CHECK_SET) && kind == CHECK_SET) {
		search->sets = check->value;
		search->asked = check->argument;
		return fp_set_has(search);
	}
	return REASON_RULE_UNKNOWN;
}

#endif
