/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The epoch of the rules: proof that the rules a program was made from are still the kernel's. What is
 * compared for each packet, all of it read from the kernel's memory:
 *
 *   on each hook       the functions, and what they are called with: an xt_table or a chain of nftables
 *   iptables-legacy    of each table the ruleset (xt_table.private). Every replace allocates another,
 *                      which may lie where one lay before: so also how many were ever begun, which
 *                      live/replaces.bpf.c counts
 *   nftables           the generation, which every commit increments
 *
 * Included by netfilter.h. What is expected is written into the program's constants when it is loaded.
 */
#ifndef FPM_LIVE_EPOCH_H
#define FPM_LIVE_EPOCH_H

#ifndef LEGACY_TABLES
#define LEGACY_TABLES config.rules.tables_count
#endif
#ifndef HAS_NFTABLES
#define HAS_NFTABLES config.rules.generation_place
#endif

/* The counter of live/replaces.bpf.c, shared by all programs. */
struct {
	map_number(type, MAP_ARRAY);
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, u64);
} fpd_replaces SEC(".maps");

/*
 * do_replace(): the new ruleset is allocated, counted (translate_table() allocates its counters), and then
 * takes the old one's place. One that was counted before the rules were read, and put in place afterwards,
 * lies elsewhere, since the old one was still there; one that lies where the old one lay was counted later.
 */
fp_inline int legacy_tables_are_as_expected(void)
{
	if (!LEGACY_TABLES)
		return 1;
	u32 first = 0;
	u64 *replaces = bpf_map_lookup_elem(&fpd_replaces, &first);
	if (!replaces || *(volatile u64 *)replaces != config.rules.replaces)
		return 0;
	for (u32 i = 0; i < LEGACY_TABLES_MAX; i++) {
		if (i >= LEGACY_TABLES)
			break;
		const volatile struct expected_table *table = &config.rules.tables[i];
		if (live_word(table->place) != table->ruleset)
			return 0;
	}
	return 1;
}

/* nf_tables_commit() increments it before the new rules are in force. */
fp_inline int nftables_is_as_expected(void)
{
	if (!HAS_NFTABLES)
		return 1;
	u64 place = config.rules.generation_place;
	return live_u32(place / WORD * WORD, place % WORD) == (u32)config.rules.generation;
}

/* Tables are looked at after the hooks: as long as one stands there, its memory is its own. */
fp_inline outcome fp_netfilter_ipv4(u64 network)
{
	window hooks = look(network + OFFSET(net, hooks_ipv4));
	if (!hook_is_as_expected(hooks[HOOK_PREROUTING], &config.ipv4[0],
				 config.rules.ipv4_owners[0], IPV4_PREROUTING) ||
	    !hook_is_as_expected(hooks[HOOK_FORWARD], &config.ipv4[1], config.rules.ipv4_owners[1],
				 IPV4_FORWARD) ||
	    !hook_is_as_expected(hooks[HOOK_POSTROUTING], &config.ipv4[2],
				 config.rules.ipv4_owners[2], IPV4_POSTROUTING) ||
	    !nftables_is_as_expected() || !legacy_tables_are_as_expected())
		return REASON_RULES_CHANGED;
	return GO_ON;
}

#endif
