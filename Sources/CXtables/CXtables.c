/* SPDX-License-Identifier: Apache-2.0 */
#include "CXtables.h"

#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>

struct fpd_xtables fpd_xtables_read(bool six, const char *table)
{
	struct fpd_xtables result = { six ? ip6tc_init(table) : iptc_init(table), six };
	return result;
}

void fpd_xtables_free(struct fpd_xtables table)
{
	if (!table.handle)
		return;
	if (table.six)
		ip6tc_free(table.handle);
	else
		iptc_free(table.handle);
}

const char *fpd_xtables_strerror(bool six, int error)
{
	return six ? ip6tc_strerror(error) : iptc_strerror(error);
}

const char *fpd_xtables_first_chain(struct fpd_xtables table)
{
	return table.six ? ip6tc_first_chain(table.handle) : iptc_first_chain(table.handle);
}

const char *fpd_xtables_next_chain(struct fpd_xtables table)
{
	return table.six ? ip6tc_next_chain(table.handle) : iptc_next_chain(table.handle);
}

const char *fpd_xtables_policy(struct fpd_xtables table, const char *chain)
{
	struct xt_counters counters;

	if (table.six)
		return ip6tc_builtin(chain, table.handle)
			       ? ip6tc_get_policy(chain, &counters, table.handle)
			       : 0;
	return iptc_builtin(chain, table.handle) ? iptc_get_policy(chain, &counters, table.handle)
						 : 0;
}

const void *fpd_xtables_first_rule(struct fpd_xtables table, const char *chain)
{
	if (table.six)
		return ip6tc_first_rule(chain, table.handle);
	return iptc_first_rule(chain, table.handle);
}

const void *fpd_xtables_next_rule(struct fpd_xtables table, const void *rule)
{
	if (table.six)
		return ip6tc_next_rule(rule, table.handle);
	return iptc_next_rule(rule, table.handle);
}

unsigned int fpd_xtables_rule_size(struct fpd_xtables table, const void *rule)
{
	return table.six ? ((const struct ip6t_entry *)rule)->next_offset
			 : ((const struct ipt_entry *)rule)->next_offset;
}

const char *fpd_xtables_target(struct fpd_xtables table, const void *rule)
{
	return table.six ? ip6tc_get_target(rule, table.handle)
			 : iptc_get_target(rule, table.handle);
}
