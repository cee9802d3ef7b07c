/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Counts the rulesets that iptables-legacy (and ip6tables, arptables) ever gave to a table, in whatever
 * namespace and by whatever call: setsockopt of 64 and 32 bits, io_uring, the making of a table.
 *
 * A ruleset is known by its address, and one that was freed may be given out again: two quick replaces,
 * and the address is what it was. So they are counted, and at the moment that matters: after the new
 * ruleset has been allocated and before it takes the old one's place. In between translate_table() has
 * xt_percpu_counter_alloc() allocate counters for the rules, in blocks of XT_PCPU_BLOCK_SIZE, aligned to
 * that size, at least one for each ruleset. The kernel's allocator of memory for each processor has a
 * tracepoint there, which costs nobody else anything. Other blocks of that kind are counted as well: then
 * the rules are read once too often.
 *
 * A kernel for one processor only (nr_cpu_ids 1) does not allocate them.
 *
 * A killed fpd's successor goes on with this counter: if what is counted changes, the program needs
 * another name.
 */
#include "../kernel/helpers.h"

enum { XT_PCPU_BLOCK_SIZE = 4096 };

/* percpu_alloc_percpu, since Linux 5.19; the arguments behind these are left out. */
struct percpu_allocation {
	u64 call_site;
	u64 reserved;
	u64 is_atomic;
	u64 size;
	u64 alignment;
};

struct {
	map_number(type, MAP_ARRAY);
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, u64);
} fpd_replaces SEC(".maps");

SEC("raw_tp/percpu_alloc_percpu") int fpd_replacing(struct percpu_allocation *allocation)
{
	if (allocation->size != XT_PCPU_BLOCK_SIZE || allocation->alignment != XT_PCPU_BLOCK_SIZE)
		return 0;
	u32 first = 0;
	u64 *replaces = bpf_map_lookup_elem(&fpd_replaces, &first);
	if (replaces)
		__sync_fetch_and_add(replaces, 1);
	return 0;
}

char fp_license[] SEC("license") = "GPL";
