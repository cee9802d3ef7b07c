/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iptables-legacy, IPv4 and IPv6 through one set of functions: rulesets, read by libiptc, and counters, which
 * libiptc adds to only when it replaces a table.
 */
#ifndef FPD_CXTABLES_H
#define FPD_CXTABLES_H

#include <stdbool.h>
#include <stdint.h>

/* libiptc's copy of one table; `six` chooses ip6tables. */
struct fpd_xtables {
	void *handle;
	bool six;
};

/*
 * Reads a table. The handle is NULL and errno set when the kernel refuses. The kernel creates a table that
 * is asked for and hooks it into the packet path: ask only for what ip_tables_names lists.
 */
struct fpd_xtables fpd_xtables_read(bool six, const char *table);
void fpd_xtables_free(struct fpd_xtables table);
const char *fpd_xtables_strerror(bool six, int error);

const char *fpd_xtables_first_chain(struct fpd_xtables table);
const char *fpd_xtables_next_chain(struct fpd_xtables table);

/* The policy of a built-in chain, NULL for one of the user's. */
const char *fpd_xtables_policy(struct fpd_xtables table, const char *chain);

/* Rules as `struct ipt_entry` or `struct ip6t_entry`. */
const void *fpd_xtables_first_rule(struct fpd_xtables table, const char *chain);
const void *fpd_xtables_next_rule(struct fpd_xtables table, const void *rule);

/* How many bytes a rule has, and the name of its target: a verdict, a chain, an extension or "". */
unsigned int fpd_xtables_rule_size(struct fpd_xtables table, const void *rule);
const char *fpd_xtables_target(struct fpd_xtables table, const void *rule);

/* What the kernel tells of a table: IPT_SO_GET_INFO. Hooks without a chain have no bit in `valid_hooks`. */
struct fpd_xtables_info {
	uint32_t valid_hooks;
	uint32_t hook_entry[5], underflow[5];
	uint32_t entries, size;
};

struct fpd_xtables_count {
	uint64_t packets, bytes;
};

/* Bytes in front of the entries, and of the counts, in what the kernel is given. */
enum { FPD_XTABLES_HEADER = 40 };

/*
 * These answer an errno, 0 when it is done. `socket` is a raw one of the table's family. The kernel creates
 * a table that is asked for here, too.
 */
int fpd_xtables_info(int socket, bool six, const char *table, struct fpd_xtables_info *info);

/* Reads `size` bytes of entries behind the header in `room`; EAGAIN when the table has another size. */
int fpd_xtables_entries(int socket, bool six, const char *table, void *room, uint32_t size);

/*
 * Adds to the counters of all entries what stands behind the header in `room`; EINVAL when the table has
 * another number of entries.
 */
int fpd_xtables_add(int socket, bool six, const char *table, void *room, uint32_t entries);

#endif
