// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A yardstick: the shortest bridge that looks its stations up in the kernel's own table, live, as
 * br_fdb_find_rcu() does, and learns nothing.
 */
#include "kernel.h"

enum { FORWARDING = 3, CHAIN = 8, NULLS_MARK = 1, LOCK_BIT = 1, BYTE = 0xff };

struct rhashtable {
	void *tbl;
} from_kernel;

struct bucket_table {
	u32 size;
	u32 nest;
	u32 hash_rnd;
	void *buckets[];
} from_kernel;

struct net_bridge {
	struct rhashtable fdb_hash_tbl;
} from_kernel;

struct net_bridge_port {
	struct net_bridge *br;
	struct net_device *dev;
	u8 state;
} from_kernel;

struct net_bridge_fdb_key {
	u8 addr[MAC_SIZE];
	u16 vlan_id;
} from_kernel;

struct net_bridge_fdb_entry {
	struct net_bridge_port *dst;
	struct net_bridge_fdb_key key;
} from_kernel;

fp_inline u32 rotated(u32 value, u32 bits)
{
	return value << bits | value >> (32 - bits);
}

/* jhash2() of two words: __jhash_final(). */
fp_inline u32 jhash_of_two(u32 first, u32 second, u32 seed)
{
	enum { INITIAL = 0xdeadbeef, LENGTH = 2 << 2 };
	u32 c = (u32)INITIAL + LENGTH + seed, b = c + second, a = c + first;

	c = (c ^ b) - rotated(b, 14);
	a = (a ^ c) - rotated(c, 11);
	b = (b ^ a) - rotated(a, 25);
	c = (c ^ b) - rotated(b, 16);
	a = (a ^ c) - rotated(c, 4);
	b = (b ^ a) - rotated(a, 14);
	return (c ^ b) - rotated(b, 24);
}

fp_inline _Bool forwards(u64 port)
{
	return (field_of(port, net_bridge_port, state) & BYTE) == FORWARDING;
}

/* The port behind which the kernel knows a station; 0: none. */
fp_inline u64 port_of_station(u64 bridge, u32 first, u32 second)
{
	u64 table = field_of(bridge, net_bridge, fdb_hash_tbl.tbl), key = (u64)second << 32 | first;
	u32 size = (u32)field_of(table, bucket_table, size);
	u32 seed = (u32)field_of(table, bucket_table, hash_rnd);
	u32 bucket = jhash_of_two(first, second, seed) & (size - 1);
	u64 entry;

	if ((u32)field_of(table, bucket_table, nest))
		return 0;
	entry = word_at(table + offset_in_kernel(struct bucket_table, buckets) +
			(u64)bucket * sizeof(void *)) &
		~(u64)LOCK_BIT;
	for (u32 i = 0; i < CHAIN && entry && !(entry & NULLS_MARK); i++) {
		if (field_of(entry, net_bridge_fdb_entry, key) == key)
			return field_of(entry, net_bridge_fdb_entry, dst);
		entry = word_at(entry); /* rhash_head.next */
	}
	return 0;
}

SEC("xdp") int bench_bridge(struct xdp_md *context)
{
	struct ethernet *eth = (void *)(long)context->data;
	u64 port, out;
	u32 first;
	u16 second;

	if ((void *)(eth + 1) > (void *)(long)context->data_end || (eth->destination[0] & 1))
		return XDP_PASS;
	port = (u64)device_of(context)->rx_handler_data;
	if (!port || !forwards(port))
		return XDP_PASS;
	__builtin_memcpy(&first, eth->destination, sizeof(first));
	__builtin_memcpy(&second, eth->destination + sizeof(first), sizeof(second));
	out = port_of_station(field_of(port, net_bridge_port, br), first, second);
	if (!out || out == port || !forwards(out))
		return XDP_PASS;
	return (int)bpf_redirect(
		(u32)field_of(field_of(out, net_bridge_port, dev), net_device, ifindex), 0);
}

char terms[] SEC("license") = "GPL";
