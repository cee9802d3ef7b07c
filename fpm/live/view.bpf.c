/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the kernel is configured to do, where no netlink family tells it or announces its changes.
 *
 * Three programs of type "syscall": attached to nothing, run on demand by BPF_PROG_RUN in the
 * network namespace of the caller, about a microsecond each.
 *
 *   identity   numbers that change when something below changes; asked many times a second
 *   hooks      every netfilter hook in use, with the function and the table or chain behind it
 *   devices    per device: XDP, TCX and netfilter attachments, taps, rx_handler
 *
 * All kernel memory is read through bpf_probe_read_kernel: a field that is gone, or a pointer that
 * was freed meanwhile, yields zeros and at worst one reading too many, never a fault.
 */
#include "view.h"
#include "../kernel/helpers.h"

enum {
	DEVICES_WALKED_MAX = 1 << 16,
	ENTRIES_MAX = 1024, /* MAX_HOOK_COUNT */
	TAPS_MAX = 64,
	INDEX_BUCKETS = 256, /* NETDEV_HASHENTRIES */
	BUCKET_DEPTH_MAX = 1 << 12,
	/* __LINK_STATE_START, _PRESENT, _NOCARRIER, _DORMANT and _TESTING of enum netdev_state_t */
	LINK_STATES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5,
};

/* NETIF_F_HW_VLAN_CTAG_RX */
#define STRIPS_TAGS (1ULL << 8)

enum { FAMILY_IPV4 = 2, FAMILY_ARP = 3, FAMILY_BRIDGE = 7, FAMILY_IPV6 = 10 };

struct list_head {
	struct list_head *next;
};
struct hlist_node {
	struct hlist_node *next;
};
struct from_kernel bpf_prog_aux {
	u32 id;
};
struct from_kernel bpf_prog {
	struct bpf_prog_aux *aux;
};
struct from_kernel bpf_xdp_link {
	void *dev;
};
/* bpf_link, prog first: bpf_xdp_link begins with it. */
struct from_kernel bpf_link {
	struct bpf_prog *prog;
};
struct from_kernel bpf_xdp_entity {
	struct bpf_prog *prog;
	struct bpf_link *link;
};
struct from_kernel bpf_mprog_fp {
	struct bpf_prog *prog;
};
struct from_kernel bpf_mprog_bundle;
struct from_kernel bpf_mprog_entry {
	struct bpf_mprog_fp fp_items[64];
	struct bpf_mprog_bundle *parent;
};
struct from_kernel bpf_mprog_bundle {
	u32 count;
};
struct from_kernel nf_hook_entry {
	void *hook;
	void *priv;
};
struct from_kernel nf_hook_entries {
	u16 num_hook_entries;
	struct nf_hook_entry hooks[0];
};
struct from_kernel nf_hook_ops {
	s32 priority;
};
struct from_kernel xt_table {
	void *private;
	char name[32];
};
/*
 * Where NAT and x_tables are modules, they may be loaded after this program, which then finds no type
 * information of theirs: these are their layouts as they have been since Linux 4.18 and 5.15.
 */
struct nf_nat_lookup_hook_priv {
	struct nf_hook_entries *entries;
};
struct xt_table_of_module {
	struct list_head *list[2];
	u32 valid_hooks;
	void *private;
	void *ops;
	void *me;
	u8 af;
	s32 priority;
	char name[32];
};
struct from_kernel nft_table {
	char *name;
};
struct from_kernel nft_chain {
	struct nft_table *table;
	char *name;
};
struct from_kernel ipv4_devconf {
	s32 data[33];
};
struct from_kernel in_device {
	struct ipv4_devconf cnf;
};
struct from_kernel net_device {
	s32 ifindex;
	u64 state;
	struct list_head dev_list;
	struct hlist_node index_hlist;
	struct in_device *ip_ptr;
	struct bpf_xdp_entity xdp_state[VIEW_XDP_MODES];
	struct bpf_mprog_entry *tcx_ingress;
	struct bpf_mprog_entry *tcx_egress;
	struct nf_hook_entries *nf_hooks_ingress;
	struct nf_hook_entries *nf_hooks_egress;
	struct list_head ptype_all;
	void *rx_handler;
	u64 features;
};
struct from_kernel netns_nf {
	struct nf_hook_entries *hooks_ipv4[5];
	struct nf_hook_entries *hooks_ipv6[5];
	struct nf_hook_entries *hooks_arp[3];
	struct nf_hook_entries *hooks_bridge[5];
};
struct from_kernel netns_nftables {
	u32 base_seq;
	u8 gencursor;
};
typedef struct {
	s32 counter;
} atomic_t;
struct from_kernel netns_ipv4 {
	struct ipv4_devconf *devconf_all;
	struct ipv4_devconf *devconf_dflt;
	u32 fib_seq;
};
struct from_kernel netns_ipv6 {
	atomic_t fib6_sernum;
};
struct from_kernel netns_xfrm {
	u32 policy_count[6];
};
struct from_kernel net {
	struct list_head dev_base_head;
	struct list_head ptype_all;
	void **dev_index_head;
	struct netns_nf nf;
	struct netns_nftables nft;
	struct netns_ipv4 ipv4;
	struct netns_ipv6 ipv6;
	struct netns_xfrm xfrm;
};
struct from_kernel nsproxy {
	struct net *net_ns;
};
struct from_kernel task_struct {
	struct nsproxy *nsproxy;
};

struct view_area area;

/* ---- reading ---- */

fp_inline struct net *current_net(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct nsproxy *proxy = kernel_get(task->nsproxy);
	return kernel_get(proxy->net_ns);
}

fp_inline u64 mix(u64 hash, u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

fp_inline void symbol(char *to, u64 address)
{
	u64 arguments[1] = { address };
	bpf_snprintf(to, VIEW_SYMBOL_SIZE, "%ps", arguments, sizeof(arguments));
}

/* The first eight characters of a function's name decide whose hook it is. */
fp_inline int begins(const char *name, const char *with, int length)
{
	for (int i = 0; i < length; i++)
		if (name[i] != with[i])
			return 0;
	return 1;
}

enum owner { OWNER_OTHER, OWNER_XTABLES, OWNER_NAT };

fp_inline enum owner owner_of(const char *name)
{
	if (begins(name, "ipt_do_t", 8) || begins(name, "ip6t_do_", 8) ||
	    begins(name, "arpt_do_", 8) ||
	    /* iptable_mangle_hook() looks at what has changed behind ipt_do_table() */
	    begins(name, "iptable_", 8) || begins(name, "ip6table", 8))
		return OWNER_XTABLES;
	/* iptable_nat and nft's nat chains hang below one hook of the NAT core */
	if (begins(name, "nf_nat_", 7))
		return OWNER_NAT;
	return OWNER_OTHER;
}

/* Where an iptables-legacy table has the address of its ruleset. */
fp_inline void **ruleset_place(void *table)
{
	if (core_exists(((struct xt_table *)0)->private))
		return &((struct xt_table *)table)->private;
	return &((struct xt_table_of_module *)table)->private;
}

/* Which ruleset an iptables-legacy table holds: every replace allocates another. */
fp_inline u64 ruleset_of(void *table)
{
	return (u64)kernel_get(*ruleset_place(table));
}

fp_inline u16 hooks_in(struct nf_hook_entries *entries)
{
	return entries ? kernel_get(entries->num_hook_entries) : 0;
}

fp_inline struct nf_hook_entries *hooks_at(struct net *net, u32 family, u32 hook)
{
	switch (family) {
	case 0:
		return kernel_get(net->nf.hooks_ipv4[hook]);
	case 1:
		return kernel_get(net->nf.hooks_ipv6[hook]);
	case 2:
		if (!core_exists(net->nf.hooks_arp) || hook >= 3)
			return 0;
		return kernel_get(net->nf.hooks_arp[hook]);
	default:
		if (!core_exists(net->nf.hooks_bridge))
			return 0;
		return kernel_get(net->nf.hooks_bridge[hook]);
	}
}

/* The order in which the families are walked, in netfilter's own numbers (NFPROTO_*). */
fp_inline u8 protocol_family(u32 family)
{
	switch (family) {
	case 0:
		return FAMILY_IPV4;
	case 1:
		return FAMILY_IPV6;
	case 2:
		return FAMILY_ARP;
	default:
		return FAMILY_BRIDGE;
	}
}

struct entry_walk {
	struct nf_hook_entries *entries;
	u32 count;
	u32 family;
	u32 hook;
	u64 hooks_hash;
	u64 xtables_hash;
};

/* The nat table of iptables-legacy is not on a hook of its own: the NAT core keeps a list. */
static long nat_entry(u32 index, struct entry_walk *walk)
{
	if (index >= walk->count)
		return 1;
	struct nf_hook_entry *entry = &walk->entries->hooks[index];
	void *function = kernel_get(entry->hook);
	void *table = kernel_get(entry->priv);
	symbol(area.symbol, (u64)function);
	walk->hooks_hash = mix(walk->hooks_hash, (u64)function);
	if (owner_of(area.symbol) == OWNER_XTABLES)
		walk->xtables_hash = mix(walk->xtables_hash, ruleset_of(table));
	return 0;
}

static long identity_entry(u32 index, struct entry_walk *walk)
{
	if (index >= walk->count)
		return 1;
	struct nf_hook_entry *entry = &walk->entries->hooks[index];
	void *function = kernel_get(entry->hook);
	void *priv = kernel_get(entry->priv);
	symbol(area.symbol, (u64)function);
	walk->hooks_hash = mix(mix(walk->hooks_hash, (u64)function), (u64)priv);
	switch (owner_of(area.symbol)) {
	case OWNER_XTABLES:
		walk->xtables_hash = mix(walk->xtables_hash, ruleset_of(priv));
		break;
	case OWNER_NAT: {
		struct entry_walk below = {
			.entries = kernel_get(((struct nf_nat_lookup_hook_priv *)priv)->entries),
			.hooks_hash = walk->hooks_hash,
			.xtables_hash = walk->xtables_hash,
		};
		below.count = hooks_in(below.entries);
		bpf_loop(ENTRIES_MAX, nat_entry, &below, 0);
		walk->hooks_hash = below.hooks_hash;
		walk->xtables_hash = below.xtables_hash;
		break;
	}
	default:
		break;
	}
	return 0;
}

fp_inline u64 hash_conf(u64 hash, struct ipv4_devconf *conf)
{
	bpf_probe_read_kernel(area.conf, sizeof(area.conf), &conf->data);
	for (int i = 0; i < VIEW_CONF_WORDS; i++)
		hash = mix(hash, area.conf[i]);
	return hash;
}

/* What a TCX entry holds: the array of its programs changes in place, so the ids are read. */
fp_inline u64 hash_tcx(u64 hash, struct bpf_mprog_entry *entry)
{
	if (!entry)
		return mix(hash, 0);
	struct bpf_mprog_bundle *parent = kernel_get(entry->parent);
	hash = mix(hash, kernel_get(parent->count));
	for (int i = 0; i < 4; i++)
		hash = mix(hash, (u64)kernel_get(entry->fp_items[i].prog));
	return hash;
}

fp_inline u32 count_tcx(struct bpf_mprog_entry *entry)
{
	if (!entry)
		return 0;
	struct bpf_mprog_bundle *parent = kernel_get(entry->parent);
	return kernel_get(parent->count);
}

struct tap_walk {
	struct list_head *head;
	struct list_head *at;
	u32 count;
	u64 hash;
};

static long tap(u32 index, struct tap_walk *walk)
{
	(void)index;
	if (!walk->at || walk->at == walk->head)
		return 1;
	walk->count++;
	walk->hash = mix(walk->hash, (u64)walk->at);
	walk->at = kernel_get(walk->at->next);
	return 0;
}

fp_inline struct tap_walk taps_on(struct list_head *head)
{
	struct tap_walk walk = { .head = head, .at = kernel_get(head->next) };
	bpf_loop(TAPS_MAX, tap, &walk, 0);
	return walk;
}

struct device_walk {
	struct list_head *head;
	struct list_head *at;
	u64 devices_hash;
	u64 conf_hash;
	u64 walked;
};

static long identity_device(u32 index, struct device_walk *walk)
{
	(void)index;
	if (!walk->at || walk->at == walk->head)
		return 1;
	struct net_device *device =
		(void *)walk->at -
		__builtin_preserve_field_info(((struct net_device *)0)->dev_list, 0);
	u64 hash = mix(walk->devices_hash, kernel_get(device->ifindex));
	/* The carrier: link-watch may take a second to announce that it is gone. */
	hash = mix(hash, kernel_get(device->state) & LINK_STATES);
	for (int mode = 0; mode < VIEW_XDP_MODES; mode++) {
		hash = mix(hash, (u64)kernel_get(device->xdp_state[mode].prog));
		hash = mix(hash, (u64)kernel_get(device->xdp_state[mode].link));
	}
	if (core_exists(device->tcx_ingress)) {
		hash = hash_tcx(hash, kernel_get(device->tcx_ingress));
		hash = hash_tcx(hash, kernel_get(device->tcx_egress));
	}
	if (core_exists(device->nf_hooks_ingress))
		hash = mix(hash, (u64)kernel_get(device->nf_hooks_ingress));
	if (core_exists(device->nf_hooks_egress))
		hash = mix(hash, (u64)kernel_get(device->nf_hooks_egress));
	hash = mix(hash, (u64)kernel_get(device->rx_handler));
	struct list_head *taps = &device->ptype_all;
	if (kernel_get(taps->next) != taps)
		hash = mix(hash, taps_on(taps).hash);
	struct in_device *in = kernel_get(device->ip_ptr);
	if (in)
		walk->conf_hash = hash_conf(walk->conf_hash, &in->cnf);
	walk->devices_hash = hash;
	walk->walked++;
	walk->at = kernel_get(walk->at->next);
	return 0;
}

SEC("syscall") int fpd_identity(void *context)
{
	(void)context;
	struct net *net = current_net();
	struct view_identity now = { .hooks = 1, .xtables = 1 };
	for (u32 family = 0; family < 4; family++) {
		for (u32 hook = 0; hook < 5; hook++) {
			struct entry_walk walk = {
				.entries = hooks_at(net, family, hook),
				.hooks_hash = mix(now.hooks, family << 8 | hook),
				.xtables_hash = now.xtables,
			};
			walk.count = hooks_in(walk.entries);
			if (walk.count)
				bpf_loop(ENTRIES_MAX, identity_entry, &walk, 0);
			now.hooks = walk.hooks_hash;
			now.xtables = walk.xtables_hash;
		}
	}
	if (core_exists(net->nft.base_seq))
		now.nftables = kernel_get(net->nft.base_seq);
	if (core_exists(net->ipv4.fib_seq))
		now.routes = kernel_get(net->ipv4.fib_seq);
	if (core_exists(net->ipv6.fib6_sernum))
		now.routes = mix(now.routes, kernel_get(net->ipv6.fib6_sernum.counter));
	if (core_exists(net->xfrm.policy_count))
		for (int i = 0; i < 6; i++)
			now.policies = now.policies << 10 ^ kernel_get(net->xfrm.policy_count[i]);

	struct list_head *head = &net->dev_base_head;
	struct device_walk walk = { .head = head, .at = kernel_get(head->next), .devices_hash = 1 };
	walk.conf_hash = hash_conf(1, kernel_get(net->ipv4.devconf_all));
	walk.conf_hash = hash_conf(walk.conf_hash, kernel_get(net->ipv4.devconf_dflt));
	bpf_loop(DEVICES_WALKED_MAX, identity_device, &walk, 0);
	if (core_exists(net->ptype_all)) {
		struct list_head *taps = &net->ptype_all;
		walk.devices_hash = mix(walk.devices_hash, taps_on(taps).hash);
	}
	now.devices = walk.devices_hash;
	now.device_conf = walk.conf_hash;
	now.walked = walk.walked;
	area.identity = now;
	return 0;
}

/* ---- hooks ---- */

fp_inline void name_xtable(struct view_hook *record, void *table)
{
	const char *name = ((struct xt_table_of_module *)table)->name;
	if (core_exists(((struct xt_table *)0)->name))
		name = ((struct xt_table *)table)->name;
	bpf_probe_read_kernel(record->table, VIEW_NAME_SIZE, name);
}

/* Without nf_tables' type information, which comes with its module, the chain stays without a name. */
fp_inline void name_chain(struct view_hook *record, struct nft_chain *chain)
{
	if (!core_exists(chain->name) || !core_exists(((struct nft_table *)0)->name))
		return;
	struct nft_table *table = kernel_get(chain->table);
	bpf_probe_read_kernel(record->chain, VIEW_NAME_SIZE, kernel_get(chain->name));
	bpf_probe_read_kernel(record->table, VIEW_NAME_SIZE, kernel_get(table->name));
}

static long record_entry(u32 index, struct entry_walk *walk)
{
	if (index >= walk->count || area.hooks_count >= VIEW_HOOKS_MAX)
		return 1;
	struct view_hook *record = &area.hooks[area.hooks_count & (VIEW_HOOKS_MAX - 1)];
	area.hooks_count++;
	struct nf_hook_entry *entry = &walk->entries->hooks[index];
	void *priv = kernel_get(entry->priv);
	record->family = protocol_family(walk->family);
	record->hook = walk->hook;
	record->nf_tables = 0;
	record->table[0] = record->chain[0] = 0;
	record->address = (u64)kernel_get(entry->hook);
	record->owner = (u64)priv;
	record->ruleset_place = record->ruleset = 0;
	symbol(record->function, record->address);

	/* the registrations' own descriptions follow the entries: nf_hook_entries_get_hook_ops() */
	struct nf_hook_ops **all = (void *)&walk->entries->hooks[walk->count];
	struct nf_hook_ops *ops = 0;
	bpf_probe_read_kernel(&ops, sizeof(ops), all + index);
	record->priority = kernel_get(ops->priority);

	if (owner_of(record->function) == OWNER_XTABLES) {
		name_xtable(record, priv);
		record->ruleset_place = (u64)ruleset_place(priv);
		record->ruleset = ruleset_of(priv);
	} else if (begins(record->function, "nft_do_c", 8)) {
		record->nf_tables = 1;
		name_chain(record, priv);
	}
	return 0;
}

SEC("syscall") int fpd_hooks(void *context)
{
	(void)context;
	struct net *net = current_net();
	area.hooks_count = 0;
	area.generation_place = 0;
	if (core_exists(net->nft.base_seq)) {
		area.generation_place = (u64)&net->nft.base_seq;
		area.generation = kernel_get(net->nft.base_seq);
		area.generation_cursor = kernel_get(net->nft.gencursor);
	}
	for (u32 family = 0; family < 4; family++) {
		for (u32 hook = 0; hook < 5; hook++) {
			struct entry_walk walk = { .entries = hooks_at(net, family, hook),
						   .family = family,
						   .hook = hook };
			walk.count = hooks_in(walk.entries);
			if (walk.count)
				bpf_loop(ENTRIES_MAX, record_entry, &walk, 0);
		}
	}
	return 0;
}

/* ---- devices ---- */

struct bucket_walk {
	struct hlist_node *at;
	s32 wanted;
	struct net_device *found;
};

static long in_bucket(u32 index, struct bucket_walk *walk)
{
	(void)index;
	if (!walk->at)
		return 1;
	struct net_device *device =
		(void *)walk->at -
		__builtin_preserve_field_info(((struct net_device *)0)->index_hlist, 0);
	if (kernel_get(device->ifindex) == walk->wanted) {
		walk->found = device;
		return 1;
	}
	walk->at = kernel_get(walk->at->next);
	return 0;
}

fp_inline u32 program_id(struct bpf_xdp_entity *entity)
{
	struct bpf_prog *program = kernel_get(entity->prog);
	struct bpf_link *link = kernel_get(entity->link);
	if (!program && link)
		program = kernel_get(link->prog);
	if (!program)
		return 0;
	struct bpf_prog_aux *aux = kernel_get(program->aux);
	return kernel_get(aux->id);
}

static long record_device(u32 index, struct net **net_slot)
{
	if (index >= area.devices_count)
		return 1;
	struct view_device *record = &area.devices[index & (VIEW_DEVICES_MAX - 1)];
	void **buckets = kernel_get((*net_slot)->dev_index_head);
	struct bucket_walk walk = { .wanted = record->ifindex };
	bpf_probe_read_kernel(&walk.at, sizeof(walk.at),
			      buckets + (record->ifindex & (INDEX_BUCKETS - 1)));
	bpf_loop(BUCKET_DEPTH_MAX, in_bucket, &walk, 0);
	struct net_device *device = walk.found;
	record->found = device != 0;
	if (!device)
		return 0;
	for (int mode = 0; mode < VIEW_XDP_MODES; mode++)
		record->xdp[mode] = program_id(&device->xdp_state[mode]);
	record->tcx_ingress = record->tcx_egress = 0;
	if (core_exists(device->tcx_ingress)) {
		record->tcx_ingress = count_tcx(kernel_get(device->tcx_ingress));
		record->tcx_egress = count_tcx(kernel_get(device->tcx_egress));
	}
	record->nf_ingress = record->nf_egress = 0;
	if (core_exists(device->nf_hooks_ingress))
		record->nf_ingress = hooks_in(kernel_get(device->nf_hooks_ingress));
	if (core_exists(device->nf_hooks_egress))
		record->nf_egress = hooks_in(kernel_get(device->nf_hooks_egress));
	record->taps = taps_on(&device->ptype_all).count;
	record->strips_tags = (kernel_get(device->features) & STRIPS_TAGS) != 0;
	record->rx_handler[0] = 0;
	record->rx_handler_address = (u64)kernel_get(device->rx_handler);
	void *handler = kernel_get(device->rx_handler);
	if (handler)
		symbol(record->rx_handler, (u64)handler);
	return 0;
}

SEC("syscall") int fpd_devices(void *context)
{
	(void)context;
	struct net *net = current_net();
	bpf_loop(VIEW_DEVICES_MAX, record_device, &net, 0);
	area.namespace_taps = VIEW_TAPS_UNKNOWN;
	if (core_exists(net->ptype_all))
		area.namespace_taps = taps_on(&net->ptype_all).count;
	return 0;
}

char fp_license[] SEC("license") = "GPL";
