/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The kernel's structures as far as the yardsticks walk them, and how they are read: a pointer that is
 * cast with bpf_rdonly_cast() is read by one load, and a fault reads as zero.
 */
#ifndef BENCH_KERNEL_H
#define BENCH_KERNEL_H

#include "packet.h"

#define KERNEL_FUNCTION __attribute__((section(".ksyms")))
#define type_in_kernel(type) __builtin_btf_type_id(*(type *)0, 1) /* BPF_TYPE_ID_TARGET */
#define offset_in_kernel(type, field)                                                              \
	__builtin_preserve_field_info(((type *)0)->field, 0) /* BPF_FIELD_BYTE_OFFSET */

extern void *bpf_cast_to_kern_ctx(void *context) KERNEL_FUNCTION;
extern void *bpf_rdonly_cast(const void *address, u32 type) KERNEL_FUNCTION;

struct cpumask {
	u64 bits[1];
} from_kernel;

struct net_device {
	u32 ifindex;
	const u8 *dev_addr;
	void *ip_ptr;
	void *rx_handler_data;
	struct {
		struct net *net;
	} nd_net;
} from_kernel;

struct xdp_rxq_info {
	struct net_device *dev;
} from_kernel;

struct xdp_buff {
	struct xdp_rxq_info *rxq;
} from_kernel;

/* The eight bytes at any address of the kernel: a cpumask begins with a plain word. */
fp_inline u64 word_at(u64 address)
{
	struct cpumask *word =
		bpf_rdonly_cast((void *)address, (u32)type_in_kernel(struct cpumask));

	return word->bits[0];
}

/* The word where a structure at `address` has this field. */
#define field_of(address, type, field) word_at((address) + offset_in_kernel(struct type, field))

fp_inline struct net_device *device_of(struct xdp_md *context)
{
	struct xdp_buff *xdp = bpf_cast_to_kern_ctx(context);

	return xdp->rxq->dev;
}

#endif
