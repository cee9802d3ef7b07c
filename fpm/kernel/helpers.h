/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What every program needs before its first line: fixed-width types, section names, the helpers by
 * their numbers in the kernel's ABI, and CO-RE reads. Written out here, because a router that runs
 * fpd has clang but need not have the headers of the kernel or of libbpf.
 */
#ifndef FPM_KERNEL_HELPERS_H
#define FPM_KERNEL_HELPERS_H

#include "numbers.h"

#define SEC(name) __attribute__((section(name), used))
#define fp_inline static inline __attribute__((always_inline))
#define fp_unused __attribute__((unused))

/* A kernel structure of which only the fields named here are used; libbpf finds their offsets. */
#define from_kernel __attribute__((preserve_access_index))

#define core_exists(field) __builtin_preserve_field_info(field, 2) /* BPF_FIELD_EXISTS */
#define core_size(field) __builtin_preserve_field_info(field, 1)   /* BPF_FIELD_BYTE_SIZE */

/*
 * A loop of which only the data knows the end. With may_goto the verifier looks at its body once or twice
 * instead of once for each turn, which is what loading takes most time for; without, `limit` turns.
 */
#ifdef HAS_bpf_verifier_state_may_goto_depth
#define FP_MAY_GOTO HAS_bpf_verifier_state_may_goto_depth
#else
#define FP_MAY_GOTO 0
#endif
#if FP_MAY_GOTO
#define repeat(limit) for (;;)
#define or_give_up(label)                                                                          \
	asm volatile goto("1:.byte 0xe5\n.byte 0\n"                                                \
			  ".long ((%l[" #label "] - 1b - 8) / 8) & 0xffff\n.short 0"               \
			  :                                                                        \
			  :                                                                        \
			  :                                                                        \
			  : label)
#else
#define repeat(limit)                                                                              \
	_Pragma("clang loop unroll(disable)") for (int turn_ = 0; turn_ < (limit); turn_++)
#define or_give_up(label)                                                                          \
	do {                                                                                       \
		if (0)                                                                             \
			goto label;                                                                \
	} while (0)
#endif

/* How libbpf is told of a map: BTF describes a variable in the section ".maps". */
#define map_number(name, value) int(*name)[value]
#define map_type(name, value) __typeof__(value) *name
enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_RINGBUF = 27 };

static fp_unused long (*const bpf_probe_read_kernel)(void *to, u32 size,
						     const void *from) = (void *)113;
static fp_unused void *(*const bpf_get_current_task_btf)(void) = (void *)158;
static fp_unused long (*const bpf_snprintf)(char *to, u32 size, const char *format, u64 *arguments,
					    u32 arguments_size) = (void *)165;
static fp_unused long (*const bpf_loop)(u32 times, void *step, void *context,
					u64 flags) = (void *)181;
static fp_unused long (*const bpf_ringbuf_output)(void *ring, void *from, u64 size,
						  u64 flags) = (void *)130;
static fp_unused u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static fp_unused u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static fp_unused u64 (*const bpf_jiffies64)(void) = (void *)118;
static fp_unused u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static fp_unused long (*const bpf_redirect)(u32 ifindex, u64 flags) = (void *)23;
static fp_unused long (*const bpf_skb_store_bytes)(void *skb, u32 offset, const void *from,
						   u32 size, u64 flags) = (void *)9;
static fp_unused long (*const bpf_skb_load_bytes)(const void *skb, u32 offset, void *to,
						  u32 size) = (void *)26;
static fp_unused long (*const bpf_xdp_load_bytes)(void *xdp, u32 offset, void *to,
						  u32 size) = (void *)189;
static fp_unused long (*const bpf_l4_csum_replace)(void *skb, u32 offset, u64 from, u64 to,
						   u64 flags) = (void *)11;
static fp_unused long (*const bpf_skb_vlan_push)(void *skb, u16 protocol, u16 control) = (void *)18;
static fp_unused long (*const bpf_skb_vlan_pop)(void *skb) = (void *)19;
static fp_unused long (*const bpf_xdp_adjust_head)(void *xdp, s32 by) = (void *)44;
static fp_unused long (*const bpf_xdp_adjust_tail)(void *xdp, s32 by) = (void *)65;
static fp_unused long (*const bpf_skb_change_tail)(void *skb, u32 length, u64 flags) = (void *)38;
static fp_unused long (*const bpf_redirect_peer)(u32 ifindex, u64 flags) = (void *)155;
static fp_unused long (*const bpf_skb_change_type)(void *skb, u32 type) = (void *)32;
static fp_unused u32 (*const bpf_get_smp_processor_id)(void) = (void *)8;
static fp_unused void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static fp_unused long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
						   u64 flags) = (void *)2;
static fp_unused long (*const bpf_for_each_map_elem)(void *map, void *step, void *context,
						     u64 flags) = (void *)164;
static fp_unused long (*const bpf_map_push_elem)(void *map, const void *value,
						 u64 flags) = (void *)87;
static fp_unused long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;

/* Reads `source`, a field of a from_kernel structure behind one pointer, at its offset on this kernel. */
#define kernel_read(to, source) bpf_probe_read_kernel((to), sizeof(*(to)), (const void *)&(source))

/* The pointer or number at `source`; 0 where it cannot be read. */
#define kernel_get(source)                                                                         \
	({                                                                                         \
		__typeof__(source) value_ = 0;                                                     \
		kernel_read(&value_, source);                                                      \
		value_;                                                                            \
	})

#endif
