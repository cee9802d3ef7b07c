/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * iptables-legacy, arptables and ebtables replace a whole table by one setsockopt and announce it to
 * nobody. Two tracepoints see the call: what it was on entry, that it succeeded on exit.
 */
#include "../kernel/helpers.h"

enum {
	LEVEL_IP = 0,
	LEVEL_IPV6 = 41,
	XT_SET_REPLACE = 64,   /* IPT_SO_SET_REPLACE, IP6T_SO_SET_REPLACE */
	ARPT_SET_REPLACE = 96, /* ARPT_SO_SET_REPLACE */
	EBT_SET_ENTRIES = 128, /* EBT_SO_SET_ENTRIES */
	CALLS_MAX = 1024,
	RING_SIZE = 4096,
};

/* The records of the two tracepoints (events/syscalls/…/format); stable since they exist. */
struct sys_enter {
	u64 common;
	u64 number;
	u64 arguments[6];
};
struct sys_exit {
	u64 common;
	u64 number;
	s64 result;
};

struct from_kernel ns_common {
	u32 inum;
};
struct from_kernel net {
	struct ns_common ns;
};
struct from_kernel nsproxy {
	struct net *net_ns;
};
struct from_kernel task_struct {
	struct nsproxy *nsproxy;
};

struct {
	map_number(type, MAP_HASH);
	map_number(max_entries, CALLS_MAX);
	map_type(key, u64);
	map_type(value, u64);
} calls SEC(".maps");

struct {
	map_number(type, MAP_RINGBUF);
	map_number(max_entries, RING_SIZE);
} replaced SEC(".maps");

u32 wanted_namespace; /* inode number; 0: every namespace */

fp_inline int is_replace(u64 level, u64 option)
{
	if (level == LEVEL_IPV6)
		return option == XT_SET_REPLACE;
	return level == LEVEL_IP && (option == XT_SET_REPLACE || option == ARPT_SET_REPLACE ||
				     option == EBT_SET_ENTRIES);
}

SEC("tracepoint/syscalls/sys_enter_setsockopt") int fpd_setsockopt_enter(struct sys_enter *call)
{
	if (!is_replace((u32)call->arguments[1], (u32)call->arguments[2]))
		return 0;
	u64 task = bpf_get_current_pid_tgid(), option = call->arguments[2];
	bpf_map_update_elem(&calls, &task, &option, 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_setsockopt") int fpd_setsockopt_exit(struct sys_exit *call)
{
	u64 task = bpf_get_current_pid_tgid();
	u64 *option = bpf_map_lookup_elem(&calls, &task);
	if (!option)
		return 0;
	u64 told = *option;
	bpf_map_delete_elem(&calls, &task);
	if (call->result)
		return 0;
	if (wanted_namespace) {
		struct task_struct *current = bpf_get_current_task_btf();
		struct nsproxy *proxy = kernel_get(current->nsproxy);
		struct net *net = kernel_get(proxy->net_ns);
		if (kernel_get(net->ns.inum) != wanted_namespace)
			return 0;
	}
	bpf_ringbuf_output(&replaced, &told, sizeof(told), 0);
	return 0;
}

char fp_license[] SEC("license") = "GPL";
