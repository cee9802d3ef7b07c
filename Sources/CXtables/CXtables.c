/* SPDX-License-Identifier: Apache-2.0 */
#include "CXtables.h"

#include <errno.h>
#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

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

_Static_assert(offsetof(struct ipt_get_entries, entrytable) == FPD_XTABLES_HEADER, "entries");
_Static_assert(offsetof(struct ip6t_get_entries, entrytable) == FPD_XTABLES_HEADER, "entries");
_Static_assert(offsetof(struct xt_counters_info, counters) == FPD_XTABLES_HEADER, "counts");
_Static_assert(sizeof(struct xt_counters) == sizeof(struct fpd_xtables_count), "counts");
_Static_assert(offsetof(struct xt_counters, pcnt) == offsetof(struct fpd_xtables_count, packets),
	       "counts");
_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "information");
_Static_assert(IPT_SO_GET_INFO == IP6T_SO_GET_INFO, "options");
_Static_assert(IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES, "options");
_Static_assert(IPT_SO_SET_ADD_COUNTERS == IP6T_SO_SET_ADD_COUNTERS, "options");

static int level(bool six)
{
	return six ? SOL_IPV6 : SOL_IP;
}

int fpd_xtables_info(int socket, bool six, const char *table, struct fpd_xtables_info *info)
{
	struct ipt_getinfo told = { 0 };
	socklen_t length = sizeof(told);

	strncpy(told.name, table, sizeof(told.name) - 1);
	if (getsockopt(socket, level(six), IPT_SO_GET_INFO, &told, &length) < 0)
		return errno;
	info->valid_hooks = told.valid_hooks;
	memcpy(info->hook_entry, told.hook_entry, sizeof(info->hook_entry));
	memcpy(info->underflow, told.underflow, sizeof(info->underflow));
	info->entries = told.num_entries;
	info->size = told.size;
	return 0;
}

int fpd_xtables_entries(int socket, bool six, const char *table, void *room, uint32_t size)
{
	struct ipt_get_entries *request = room;
	socklen_t length = FPD_XTABLES_HEADER + size;

	memset(request, 0, FPD_XTABLES_HEADER);
	strncpy(request->name, table, sizeof(request->name) - 1);
	request->size = size;
	return getsockopt(socket, level(six), IPT_SO_GET_ENTRIES, request, &length) < 0 ? errno : 0;
}

int fpd_xtables_add(int socket, bool six, const char *table, void *room, uint32_t entries)
{
	struct xt_counters_info *request = room;
	socklen_t length = FPD_XTABLES_HEADER + entries * sizeof(struct xt_counters);

	memset(request, 0, FPD_XTABLES_HEADER);
	strncpy(request->name, table, sizeof(request->name) - 1);
	request->num_counters = entries;
	return setsockopt(socket, level(six), IPT_SO_SET_ADD_COUNTERS, request, length) < 0 ? errno
											    : 0;
}
