/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The epoch of netfilter: on each hook of the path stand the functions that stood there when the program
 * was made, and no other. Compared by value, so that an address that was freed and used again is seen.
 * A program that judges by rules (JUDGES_RULES) compares more: live/epoch.h.
 */
#ifndef FPM_LIVE_NETFILTER_H
#define FPM_LIVE_NETFILTER_H

#include "../packet.h"

enum { HOOK_PREROUTING, HOOK_LOCAL_IN, HOOK_FORWARD, HOOK_LOCAL_OUT, HOOK_POSTROUTING };

/*
 * Whether exactly the first `count` functions of `expected` stand behind `entries`, each called with its
 * owner, where owners matter.
 */
fp_inline int hook_is_as_expected(u64 entries, const volatile struct expected_hook *expected,
				  const volatile u64 *owners, u32 count)
{
	if (!count)
		return !entries;
	if (!entries)
		return 0;
	window list = look(entries);
	if (seen(list, nf_hook_entries, num_hook_entries) != count)
		return 0;
	for (u32 i = 0; i < HOOK_FUNCTIONS; i++) {
		if (i >= count)
			break;
		u64 offset = OFFSET(nf_hook_entries, hooks) + i * SIZE_nf_hook_entry;
		if (word_at(list, offset + OFFSET(nf_hook_entry, hook)) != expected->functions[i])
			return 0;
		if (owners && word_at(list, offset + OFFSET(nf_hook_entry, priv)) != owners[i])
			return 0;
	}
	return 1;
}

#if JUDGES_RULES
#include "epoch.h"
#else
/* What forwarded packets meet. The numbers of functions are the program's own. */
fp_inline outcome fp_netfilter_ipv4(u64 network)
{
	window hooks = look(network + OFFSET(net, hooks_ipv4));
	if (!hook_is_as_expected(hooks[HOOK_PREROUTING], &config.ipv4[0], 0, IPV4_PREROUTING) ||
	    !hook_is_as_expected(hooks[HOOK_FORWARD], &config.ipv4[1], 0, IPV4_FORWARD) ||
	    !hook_is_as_expected(hooks[HOOK_POSTROUTING], &config.ipv4[2], 0, IPV4_POSTROUTING))
		return REASON_NETFILTER_HOOK;
	return GO_ON;
}
#endif

#ifdef BRIDGE_PREROUTING
fp_inline outcome expect_bridge_hook(u64 network, u32 hook, u32 count)
{
#if HAS_net_hooks_bridge
	window hooks = look(network + OFFSET(net, hooks_bridge));
	if (!hook_is_as_expected(hooks[hook], &config.bridge[hook], 0, count))
		return REASON_BRIDGE_FILTER;
#else
	(void)network, (void)hook, (void)count;
#endif
	return GO_ON;
}

/* What a frame meets on every bridge, on its way up to IP, and on its way to another port. */
fp_inline outcome fp_netfilter_bridge_in(u64 network)
{
	return expect_bridge_hook(network, HOOK_PREROUTING, BRIDGE_PREROUTING);
}

fp_inline outcome fp_netfilter_bridge_up(u64 network)
{
	return expect_bridge_hook(network, HOOK_LOCAL_IN, BRIDGE_LOCAL_IN);
}

fp_inline outcome fp_netfilter_bridge_through(u64 network)
{
	outcome result = expect_bridge_hook(network, HOOK_FORWARD, BRIDGE_FORWARD);
	if (result != GO_ON)
		return result;
	return expect_bridge_hook(network, HOOK_POSTROUTING, BRIDGE_POSTROUTING);
}

/* What a packet meets that is routed into a bridge. */
fp_inline outcome fp_netfilter_bridge_out(u64 network)
{
	outcome result = expect_bridge_hook(network, HOOK_LOCAL_OUT, BRIDGE_LOCAL_OUT);
	if (result != GO_ON)
		return result;
	return expect_bridge_hook(network, HOOK_POSTROUTING, BRIDGE_POSTROUTING);
}
#endif

#endif
