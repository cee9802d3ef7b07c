/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Where the kernel keeps the sets of a namespace (ipset): struct ip_set_net.
 *
 * A program of type "syscall", attached to nothing, run on demand in the namespace of the caller. Every
 * part of the kernel that keeps something for each namespace has a number there, and the number that ipset
 * has is in a variable that most kernels tell no address of. So all of them are tried: it is the one behind
 * which, at the index that netlink tells of a set, lies a set of that name and type.
 */
#include "sets.h"
#include "../kernel/helpers.h"

enum { NUMBERS_MAX = 4096, NUMBER_FIRST = 3 /* MIN_PERNET_OPS_ID */ };

struct from_kernel ip_set_type {
	char name[SETS_NAME_SIZE];
};
struct from_kernel ip_set {
	char name[SETS_NAME_SIZE];
	struct ip_set_type *type;
};
struct from_kernel ip_set_net {
	struct ip_set **ip_set_list;
	u16 ip_set_max;
};
struct from_kernel net {
	void **gen;
};
struct from_kernel nsproxy {
	struct net *net_ns;
};
struct from_kernel task_struct {
	struct nsproxy *nsproxy;
};

struct sets_area area;

fp_inline int is(const char *name, const void *place)
{
	if (bpf_probe_read_kernel(area.read, SETS_NAME_SIZE, place))
		return 0;
	for (int i = 0; i < SETS_NAME_SIZE; i++) {
		if (area.read[i] != name[i])
			return 0;
		if (!name[i])
			return 1;
	}
	return 0;
}

static long try_number(u32 number, void ***entries)
{
	struct ip_set_net *sets = kernel_get((*entries)[NUMBER_FIRST + number]);
	if (!sets || area.index >= kernel_get(sets->ip_set_max))
		return 0;
	struct ip_set **list = kernel_get(sets->ip_set_list);
	if (!list)
		return 0;
	struct ip_set *set = kernel_get(list[area.index]);
	if (!set || !is(area.name, &set->name) || !is(area.type, &kernel_get(set->type)->name))
		return 0;
	area.found++;
	area.address = (u64)sets;
	return 0;
}

SEC("syscall") int fpd_sets(void *context)
{
	(void)context;
	area.found = 0;
	area.address = 0;
	if (!core_exists(((struct ip_set_net *)0)->ip_set_list))
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct nsproxy *proxy = kernel_get(task->nsproxy);
	struct net *net = kernel_get(proxy->net_ns);
	void **entries = kernel_get(net->gen);
	/* struct net_generic begins with how many it has, counted from its own beginning */
	u32 count = kernel_get(*(u32 *)entries);
	if (count > NUMBER_FIRST && count < NUMBERS_MAX)
		bpf_loop(count - NUMBER_FIRST, try_number, &entries, 0);
	return 0;
}

char fp_license[] SEC("license") = "GPL";
