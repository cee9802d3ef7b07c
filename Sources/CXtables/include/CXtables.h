/* SPDX-License-Identifier: Apache-2.0 */
/* libiptc: the rulesets of iptables-legacy, IPv4 and IPv6, read through one set of functions. */
#ifndef FPD_CXTABLES_H
#define FPD_CXTABLES_H

#include <stdbool.h>

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

#endif
