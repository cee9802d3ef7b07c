/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Tells when a table of iptables-legacy may have been replaced: __do_replace() frees the old ruleset's
 * counters behind the replace, and xt_percpu_counter_free() does so by blocks of XT_PCPU_BLOCK_SIZE, which
 * are aligned to it (see replaces.bpf.c). Whoever is told compares identities; that other memory is freed
 * now and then costs no more than that. It is used where the other way, tracing setsockopt, would make
 * every system call of the machine slower.
 */
#include "../kernel/helpers.h"

enum { XT_PCPU_BLOCK_SIZE = 4096, RING_SIZE = 4096 };

/* percpu_free_percpu */
struct percpu_release {
	u64 base;
	u64 offset;
	u64 memory;
};

struct {
	map_number(type, MAP_RINGBUF);
	map_number(max_entries, RING_SIZE);
} replaced SEC(".maps");

SEC("raw_tp/percpu_free_percpu") int fpd_replaced(struct percpu_release *release)
{
	u64 memory = release->memory;
	if (memory % XT_PCPU_BLOCK_SIZE == 0)
		bpf_ringbuf_output(&replaced, &memory, sizeof(memory), 0);
	return 0;
}

char fp_license[] SEC("license") = "GPL";
