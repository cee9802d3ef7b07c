// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * A yardstick: the shortest router that walks the kernel's own routing table and neighbour table, live,
 * as fib_table_lookup() and __ipv4_neigh_lookup_noref() do. It looks at nothing else: routes of the main
 * table (with which the local one is merged while there are no policy rules), one next hop each.
 */
#include "kernel.h"

enum {
	KEY_BITS = 32,
	STEPS = 64, /* of a walk through the trie, there and back */
	ALIASES = 8,
	CHAIN = 12,
	UNICAST = 1,
	FAMILY_IPV4 = 2,
	VALID = 0xde, /* NUD_VALID */
	BYTE = 0xff,
};

struct hlist_node {
	struct hlist_node *next;
} from_kernel;

struct hlist_head {
	struct hlist_node *first;
} from_kernel;

struct fib_table {
	u64 *tb_data;
} from_kernel;

struct netns_ipv4 {
	struct fib_table *fib_main;
} from_kernel;

struct net {
	struct netns_ipv4 ipv4;
} from_kernel;

struct key_vector {
	u32 key;
	u8 pos;
	u8 bits;
	u8 slen;
	struct hlist_head leaf; /* or the children: both begin here */
} from_kernel;

struct tnode {
	struct key_vector *parent;
	struct key_vector kv[1];
} from_kernel;

struct fib_alias {
	struct hlist_node fa_list;
	struct fib_info *fa_info;
	u8 fa_type;
	u8 fa_slen;
} from_kernel;

struct fib_nh_common {
	struct net_device *nhc_dev;
	u8 nhc_gw_family;
	union {
		u32 ipv4;
	} nhc_gw;
} from_kernel;

struct fib_nh {
	struct fib_nh_common nh_common;
} from_kernel;

struct fib_info {
	int fib_nhs;
	void *nh;
	struct fib_nh fib_nh[];
} from_kernel;

struct in_device {
	struct neigh_parms *arp_parms;
} from_kernel;

struct neigh_parms {
	struct neigh_table *tbl;
} from_kernel;

struct neigh_table {
	struct neigh_hash_table *nht;
} from_kernel;

struct neigh_hash_table {
	struct hlist_head *hash_heads;
	u32 hash_shift;
	u32 hash_rnd[4];
} from_kernel;

struct neighbour {
	struct hlist_node hash;
	u8 nud_state;
	u8 ha[32];
	struct net_device *dev;
	u8 primary_key[];
} from_kernel;

/* Before the chains became hlists. */
struct neigh_hash_table___before {
	void **hash_buckets;
} from_kernel;

struct neighbour___before {
	void *next;
} from_kernel;

/* A node of the trie: key, position, bits and suffix length are in its first eight bytes. */
struct node {
	u64 address;
	u32 key;
	u8 position;
	u8 bits;
	u8 suffix;
};

fp_inline struct node node_at(u64 address)
{
	u64 head = word_at(address);

	return (struct node){
		.address = address,
		.key = (u32)head,
		.position = (u8)(head >> offset_in_kernel(struct key_vector, pos) * 8),
		.bits = (u8)(head >> offset_in_kernel(struct key_vector, bits) * 8),
		.suffix = (u8)(head >> offset_in_kernel(struct key_vector, slen) * 8),
	};
}

fp_inline u64 child(u64 node, u64 index)
{
	return word_at(node + offset_in_kernel(struct key_vector, leaf) + index * sizeof(void *));
}

/* Whether bits differ that a prefix of this node has: prefix_mismatch(). */
fp_inline _Bool is_elsewhere(u32 key, const struct node *node)
{
	return (key ^ node->key) & (node->key | -node->key);
}

/* The leaf with the longest prefix that may hold the key: steps 1 and 2 of fib_table_lookup(). */
fp_inline struct node leaf_for(u64 root, u32 key)
{
	struct node node = node_at(child(root, 0)), up = node_at(root);
	u64 place = 0;
	_Bool down = 1;

	for (u32 i = 0; i < STEPS; i++) {
		u64 index = ((u64)key ^ node.key) >> node.position;
		_Bool back = !node.address;

		if (!back && down && !(index >> node.bits)) {
			if (!node.bits)
				return node;
			if (node.suffix > node.position) {
				up = node;
				place = index;
			}
			node = node_at(child(node.address, index));
			continue;
		}
		down = 0;
		if (!back && !is_elsewhere(key, &node) && node.suffix != node.position) {
			if (node.bits) {
				node = node_at(child(node.address, 0));
				continue;
			}
			/* A leaf's suffix is that of its shortest prefix. */
			if (!(((u64)key ^ node.key) >> node.suffix))
				return node;
		}
		if (!place) {
			u32 below = up.key;

			if (up.position >= KEY_BITS)
				break;
			up = node_at(field_of(up.address - offset_in_kernel(struct tnode, kv[0]),
					      tnode, parent));
			place = up.position >= KEY_BITS ? 0 : ((u64)below ^ up.key) >> up.position;
			node.address = 0;
			continue;
		}
		place &= place - 1;
		node = node_at(child(up.address, place));
	}
	return (struct node){ .address = 0 };
}

/* The next hop of the best route in a leaf; 0: none that is plain. Step 3. */
fp_inline u64 next_hop(const struct node *leaf, u32 key)
{
	u64 alias = word_at(leaf->address + offset_in_kernel(struct key_vector, leaf));

	for (u32 i = 0; i < ALIASES && alias; i++) {
		u8 length = (u8)field_of(alias, fib_alias, fa_slen);
		u64 route = field_of(alias, fib_alias, fa_info);

		if (((u64)key ^ leaf->key) >> length) {
			alias = word_at(alias);
			continue;
		}
		if ((field_of(alias, fib_alias, fa_type) & BYTE) != UNICAST ||
		    (u32)field_of(route, fib_info, fib_nhs) != 1 || field_of(route, fib_info, nh))
			return 0;
		return route + offset_in_kernel(struct fib_info, fib_nh);
	}
	return 0;
}

fp_inline u64 chain_of(u64 table, u32 place)
{
	struct neigh_hash_table *now = 0;
	struct neigh_hash_table___before *before = 0;
	u64 heads;

	if (core_exists(now->hash_heads))
		heads = field_of(table, neigh_hash_table, hash_heads);
	else
		heads = word_at(table + __builtin_preserve_field_info(before->hash_buckets, 0));
	return word_at(heads + (u64)place * sizeof(void *));
}

fp_inline u64 link_of_chain(void)
{
	struct neighbour *now = 0;
	struct neighbour___before *before = 0;

	if (core_exists(now->hash))
		return __builtin_preserve_field_info(now->hash, 0);
	return __builtin_preserve_field_info(before->next, 0);
}

/* __ipv4_neigh_lookup_noref(), arp_hashfn() */
fp_inline u64 neighbour_of(u64 device, u32 address)
{
	u64 parameters = field_of(field_of(device, net_device, ip_ptr), in_device, arp_parms);
	u64 table = field_of(field_of(parameters, neigh_parms, tbl), neigh_table, nht);
	u32 hash = (address ^ (u32)(device ^ device >> 32)) *
		   (u32)field_of(table, neigh_hash_table, hash_rnd);
	u32 shift = (u32)field_of(table, neigh_hash_table, hash_shift);
	u64 link = chain_of(table, hash >> ((KEY_BITS - shift) & (KEY_BITS - 1)));

	for (u32 i = 0; i < CHAIN && link; i++) {
		u64 entry = link - link_of_chain();

		if ((u32)field_of(entry, neighbour, primary_key) == address &&
		    field_of(entry, neighbour, dev) == device)
			return entry;
		link = word_at(link);
	}
	return 0;
}

SEC("xdp") int bench_trie(struct xdp_md *context)
{
	struct ethernet *eth = (void *)(long)context->data;
	struct ipv4 *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > (void *)(long)context->data_end || !is_plain(eth, ip))
		return XDP_PASS;
	u32 key = network32(ip->destination);
	struct node leaf =
		leaf_for((u64)device_of(context)->nd_net.net->ipv4.fib_main->tb_data, key);
	u64 hop = leaf.address ? next_hop(&leaf, key) : 0;
	if (!hop)
		return XDP_PASS;
	u8 family = (u8)field_of(hop, fib_nh_common, nhc_gw_family);
	u32 address = ip->destination;
	if (family == FAMILY_IPV4)
		address = (u32)field_of(hop, fib_nh_common, nhc_gw);
	else if (family)
		return XDP_PASS;
	u64 device = field_of(hop, fib_nh_common, nhc_dev);
	u64 neighbour = neighbour_of(device, address);
	if (!neighbour || !(field_of(neighbour, neighbour, nud_state) & VALID))
		return XDP_PASS;
	u64 destination = field_of(neighbour, neighbour, ha);
	u64 source = word_at(field_of(device, net_device, dev_addr));
	decrease_ttl(ip);
	__builtin_memcpy(eth->destination, &destination, MAC_SIZE);
	__builtin_memcpy(eth->source, &source, MAC_SIZE);
	return (int)bpf_redirect((u32)field_of(device, net_device, ifindex), 0);
}

char terms[] SEC("license") = "GPL";
