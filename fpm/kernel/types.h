/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Which parts of the kernel's memory the fast path reads. fpd looks each one up in the type information
 * of the kernel it runs on and writes where it lies there (OFFSET_struct_member) into every program; what
 * a kernel does not have is told by HAS_struct_member. So a program needs no relocation when it is loaded,
 * which would cost more time than all the rest of a reaction.
 *
 * One member a line. "path" says where a member lies deeper than its name tells, "module" which module's
 * type information may hold the structure (of several, the first that does), "kfunc" and "ksym" ask for a
 * function's id and an address, "enum" for numbers that have names. Without a kfunc no program can be made,
 * unless it is asked for "if there"; it may be in a module.
 */
#ifndef FPM_KERNEL_TYPES_H
#define FPM_KERNEL_TYPES_H

/* layout: begin */
/* kfunc: bpf_cast_to_kern_ctx */
/* kfunc: bpf_rdonly_cast */
/* kfunc if there: bpf_xdp_ct_lookup in nf_conntrack */
/* kfunc if there: bpf_skb_ct_lookup in nf_conntrack */
/* kfunc if there: bpf_ct_release in nf_conntrack */
/* kfunc if there: bpf_ct_change_timeout in nf_conntrack */
/* enum nf_ct_ext_id: NF_CT_EXT_HELPER NF_CT_EXT_NAT NF_CT_EXT_ACCT NF_CT_EXT_ECACHE */
/* enum nf_ct_ext_id: NF_CT_EXT_TIMEOUT NF_CT_EXT_ACT_CT */
/* ksym: ptype_all */
/* percpu: softnet_data */
/* percpu: udp_memory_per_cpu_fw_alloc */
/* ksym: net_hotdata */

struct net_hotdata {
	void *ptype_all; /* path: ptype_all.next */
};
struct bpf_verifier_state {
	u32 may_goto_depth;
};
/* The window that kernel memory is looked at through: an array of words that every kernel has. */
struct linux_mib {
	u64 mibs[0];
};
struct xdp_buff {
	void *data;
	struct xdp_rxq_info *rxq;
};
struct veth_priv { /* module: veth */
	struct net_device *peer;
	struct veth_rq *rq;
};
struct veth_rq { /* module: veth */
	struct napi_struct *napi;
};
struct netdev_rx_queue {
	void *rps_map;
};
struct softnet_data {
	u32 cpu;
	u32 queued;  /* path: input_pkt_queue.qlen */
	u32 in_hand; /* path: process_queue.qlen */
};
struct bpf_array {
	void *pptrs[0];
};
struct sock {
	struct proto *skc_prot; /* path: __sk_common.skc_prot */
};
struct proto {
	void *per_cpu_fw_alloc;
};
struct veth_xdp_buff { /* module: veth */
	struct sk_buff *skb;
};
struct xdp_rxq_info {
	struct net_device *dev;
};
struct sk_buff {
	struct net_device *dev;
	u64 _nfct;
	u32 csum;
	u32 ip_summed : 2;
	u32 mark;
	u32 vlan_all;
	u16 vlan_proto;
};
struct net_device {
	u8 name[0];
	u32 priv_flags : 32;
	u32 mtu;
	u64 state;
	u32 flags;
	u16 hard_header_len;
	u64 features;
	s32 ifindex;
	struct vlan_info *vlan_info;
	void *rx_handler;
	void *rx_handler_data;
	struct net *nd_net; /* path: nd_net.net */
	void *tcx_ingress;
	void *tcx_egress;
	void *miniq_ingress;
	void *miniq_egress;
	struct nf_hook_entries *nf_hooks_ingress;
	struct nf_hook_entries *nf_hooks_egress;
	void *ptype_all; /* path: ptype_all.next */
	u32 xdp_features;
	u16 type;
	struct in_device *ip_ptr;
	u8 *dev_addr;
	struct net_device_ops *netdev_ops;
	struct rtnl_link_ops *rtnl_link_ops;
	struct netdev_rx_queue *_rx;
	struct Qdisc *qdisc;
	struct netdev_queue *_tx;
	void *hardware; /* path: dev.parent */
	u8 priv[0];
};
struct rtnl_link_ops {
	void *kind;
};
struct vlan_info {
	u32 nr_vlan_devs; /* path: grp.nr_vlan_devs */
};
struct bpf_mprog_entry {
	struct bpf_mprog_bundle *parent;
};
struct bpf_mprog_bundle {
	u32 count;
};
struct tcx_entry {
	void *miniq;
	void *bundle[0];
};
struct netdev_queue {
	struct Qdisc *qdisc;
};
struct Qdisc {
	struct Qdisc_ops *ops;
	u32 handle;
};
struct Qdisc_ops {
	u8 id[0];
};
struct net {
	void *ptype_all;		  /* path: ptype_all.next */
	struct ipv4_devconf *devconf_all; /* path: ipv4.devconf_all */
	struct sock *mc_autojoin_sk;	  /* path: ipv4.mc_autojoin_sk */
	struct fib_table *fib_main;	  /* path: ipv4.fib_main */
	u32 fib_seq;			  /* path: ipv4.fib_seq */
	u32 rt_genid;			  /* path: ipv4.rt_genid.counter */
	u64 net_cookie;
	u8 fib_has_custom_rules;	  /* path: ipv4.fib_has_custom_rules */
	u8 fib_has_custom_local_routes;	  /* path: ipv4.fib_has_custom_local_routes */
	u32 fib_num_tclassid_users;	  /* path: ipv4.fib_num_tclassid_users.counter */
	u8 sysctl_ip_fwd_use_pmtu;	  /* path: ipv4.sysctl_ip_fwd_use_pmtu */
	u8 sysctl_ip_fwd_update_priority; /* path: ipv4.sysctl_ip_fwd_update_priority */
	void *hooks_ipv4[0];		  /* path: nf.hooks_ipv4 */
	void *hooks_bridge[0];		  /* path: nf.hooks_bridge */
	u8 ct_checksum;			  /* path: ct.sysctl_checksum */
	u32 tcp_timeouts[0];		  /* path: ct.nf_ct_proto.tcp.timeouts */
	u8 tcp_be_liberal;		  /* path: ct.nf_ct_proto.tcp.tcp_be_liberal */
	u8 tcp_ignore_invalid_rst;	  /* path: ct.nf_ct_proto.tcp.tcp_ignore_invalid_rst */
	u32 udp_timeouts[0];		  /* path: ct.nf_ct_proto.udp.timeouts */
	u32 policy_count[0];		  /* path: xfrm.policy_count */
	u8 policy_default[0];		  /* path: xfrm.policy_default */
};
struct nf_hook_entries {
	u16 num_hook_entries;
	void *hooks[0];
};
struct nf_hook_entry {
	void *hook;
	void *priv;
};
struct in_device {
	struct net_device *dev;
	struct in_ifaddr *ifa_list;
	struct neigh_parms *arp_parms;
	s32 cnf[0]; /* path: cnf.data */
};
struct ipv4_devconf {
	s32 data[0];
};
struct neigh_parms {
	struct neigh_table *tbl;
};
struct neigh_table {
	struct neigh_hash_table *nht;
};
struct neigh_hash_table {
	void *hash_heads;
	void *hash_buckets;
	u32 hash_shift;
	u32 hash_rnd[0];
};
struct neighbour {
	void *hash; /* path: hash.next */
	struct neighbour *next;
	u8 nud_state;
	u32 ha_lock; /* path: ha_lock.seqcount.seqcount.sequence */
	u8 ha[0];
	struct net_device *dev;
	u8 primary_key[0];
};
struct fib_table {
	void *tb_data;
};
struct key_vector {
	u32 key;
	u8 pos;
	u8 bits;
	u8 slen;
	void *leaf; /* path: leaf.first */
	void *tnode[0];
};
struct tnode {
	struct key_vector *parent;
	struct key_vector kv[0];
};
struct fib_alias {
	void *fa_list; /* path: fa_list.next */
	struct fib_info *fa_info;
	u8 fa_dscp;
	u8 fa_tos;
	u8 fa_type;
	u8 fa_slen;
	u8 fa_state;
};
struct dst_metrics {
	u32 metrics[0];
};
struct fib_nh {
	void *nh_common[0];
};
struct fib_info {
	u32 fib_flags;
	u8 fib_dead;
	struct dst_metrics *fib_metrics;
	s32 fib_nhs;
	struct nexthop *nh;
	struct fib_nh fib_nh[0];
};
struct fib_nh_common {
	struct net_device *nhc_dev;
	u8 nhc_scope;
	u8 nhc_gw_family;
	u8 nhc_flags;
	struct lwtunnel_state *nhc_lwtstate;
	u32 nhc_gw; /* path: nhc_gw.ipv4 */
	void *nhc_exceptions;
};
struct nexthop {
	u8 is_group;
	struct nh_info *nh_info;
};
struct nh_info {
	u8 reject_nh;
	void *fib_nhc[0];
};
/* Connections. */
struct nf_conn { /* module: nf_conntrack */
	u32 timeout;
	u64 status;
	struct nf_ct_ext *ext;
	u32 mark;
	void *tuplehash[0];
	u8 tcp_seen[0]; /* path: proto.tcp.seen */
	u8 tcp_state;	/* path: proto.tcp.state */
	u8 tcp_last;	/* path: proto.tcp.last_index */
};
struct nf_conntrack_tuple_hash { /* module: nf_conntrack */
	void *tuple[0];
};
struct nf_conntrack_tuple {   /* module: nf_conntrack */
	u32 source;	      /* path: src.u3.ip */
	u16 source_port;      /* path: src.u.all */
	u32 destination;      /* path: dst.u3.ip */
	u16 destination_port; /* path: dst.u.all */
};
struct ip_ct_tcp_state { /* module: nf_conntrack */
	u32 td_maxack;
	u8 flags;
};
struct nf_ct_ext { /* module: nf_conntrack */
	u8 offset[0];
};
struct nf_conn_nat { /* module: nf_nat nf_conntrack */
	s32 masq_index;
};
struct nf_conntrack_ecache { /* module: nf_conntrack */
	u64 cache;
	u32 missed;
};
struct net_bridge_port { /* module: bridge */
	struct net_bridge *br;
	struct net_device *dev;
	u64 flags;
	u8 state;
	s32 hwdom;
	struct net_bridge_vlan_group *vlgrp;
};
struct net_bridge { /* module: bridge */
	struct net_device *dev;
	u64 options;
	void *fdb_hash_tbl; /* path: fdb_hash_tbl.tbl */
	u64 ageing_time;
	u16 vlan_proto;
	struct net_bridge_vlan_group *vlgrp;
};
struct bucket_table {
	u32 size;
	u32 nest;
	u32 hash_rnd;
	void *buckets[0];
};
struct net_bridge_fdb_entry { /* module: bridge */
	void *rhnode;	      /* path: rhnode.next */
	struct net_bridge_port *dst;
	u64 key; /* path: key */
	u64 flags;
	u64 updated;
};
struct net_bridge_vlan_group { /* module: bridge */
	void *vlan_hash;       /* path: vlan_hash.tbl */
	u16 pvid;
	u8 pvid_state;
};
struct net_bridge_vlan { /* module: bridge */
	void *vnode;	 /* path: vnode.next */
	u16 vid;
	u16 flags;
	u16 priv_flags;
	u8 state;
};
/* What ipset is made of; where its types are modules, any of them tells how hash tables are. */
struct ip_set_net { /* module: ip_set */
	void *ip_set_list;
};
struct ip_set_type { /* module: ip_set */
	u64 name[0];
	u8 dimension;
};
struct ip_set { /* module: ip_set */
	struct ip_set_type *type;
	u8 family;
	u8 extensions;
	u64 dsize;
	u64 offset[0];
	void *data;
};
struct htable { /* module: ip_set_hash_ip ip_set_hash_net ip_set_hash_ipport ip_set_hash_netport */
	u8 htable_bits;
	void *bucket[0];
};
struct hbucket { /* module: ip_set_hash_ip ip_set_hash_net ip_set_hash_ipport ip_set_hash_netport */
	u64 used[0];
	u8 size;
	u8 pos;
	u8 value[0];
};
struct hash_ip4 { /* module: ip_set_hash_ip */
	struct htable *table;
	u32 initval;
	u8 netmask;
	u32 bitmask; /* path: bitmask.ip */
};
struct hash_ip4_elem { /* module: ip_set_hash_ip */
	u32 ip;
};
struct hash_ipport4 { /* module: ip_set_hash_ipport */
	struct htable *table;
	u32 initval;
	u8 netmask;
	u32 bitmask; /* path: bitmask.ip */
};
struct hash_ipport4_elem { /* module: ip_set_hash_ipport */
	u32 ip;
	u16 port;
	u8 proto;
};
struct hash_net4 { /* module: ip_set_hash_net */
	struct htable *table;
	u32 initval;
	u64 nets[0];
};
struct hash_net4_elem { /* module: ip_set_hash_net */
	u32 ip;
	u8 nomatch;
	u8 cidr;
};
struct hash_netport4 { /* module: ip_set_hash_netport */
	struct htable *table;
	u32 initval;
	u64 nets[0];
};
struct hash_netport4_elem { /* module: ip_set_hash_netport */
	u32 ip;
	u16 port;
	u8 proto;
	u8 cidr : 7;
	u8 nomatch : 1;
};
struct bitmap_ip { /* module: ip_set_bitmap_ip */
	void *members;
	u32 first_ip;
	u32 last_ip;
	u32 hosts;
	u8 netmask;
	u8 extensions[0];
};
struct bitmap_port { /* module: ip_set_bitmap_port */
	void *members;
	u16 first_port;
	u16 last_port;
	u8 extensions[0];
};
struct list_set {      /* module: ip_set_list_set */
	void *members; /* path: members.next */
};
struct set_elem {   /* module: ip_set_list_set */
	void *list; /* path: list.next */
	u16 id;
};
/* layout: end */

#endif
