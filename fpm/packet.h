/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the modules know of a packet, and what becomes of it.
 */
#ifndef FPM_PACKET_H
#define FPM_PACKET_H

#include "live/kernel.h"

#ifndef JUDGES_RULES
#define JUDGES_RULES 0
#endif
/* Whether rules give packets another mark: CHECK_CHANGE of filter.h */
#define CHANGES_MARKS (JUDGES_RULES && (FILTER_CHECKS >> 8 & 1))
#ifndef FOLLOWS_CONNECTIONS
#define FOLLOWS_CONNECTIONS 0
#endif

enum {
	PROTOCOL_IPV4 = 0x0800,
	PROTOCOL_ARP = 0x0806,
	PROTOCOL_IPV6 = 0x86dd,
	PROTOCOL_VLAN = 0x8100,
	PROTOCOL_VLAN_SERVICE = 0x88a8,
	PROTOCOL_PPPOE = 0x8864,
	PROTOCOL_MRP = 0x88e3,
	PROTOCOL_CFM = 0x8902,
};

#define network_order(value) __builtin_bswap16(value)

struct ethernet {
	u8 destination[6];
	u8 source[6];
	u16 protocol;
};

/* What follows the addresses of a frame that belongs to a VLAN, behind the protocol that says so. */
struct tag {
	u16 control; /* priority, and the VLAN */
	u16 protocol;
};
enum { VLAN_TAG = 4, VLAN_ID = 0xfff };

struct ipv4 {
	u8 version_length;
	u8 tos;
	u16 total_length;
	u16 id;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
};

/*
 * What a module says: go on, or the index of a counter, which is what becomes of the packet. The
 * reasons follow these, in the order of fpd's one list of them.
 */
enum { FORWARD = 0, DROP = 1, GO_ON = -1 };
typedef s32 outcome;

enum {
	TRANSPORT_ICMP = 1,
	TRANSPORT_TCP = 6,
	TRANSPORT_UDP = 17,
	TRANSPORT_DCCP = 33,
	TRANSPORT_ICMP_V6 = 58,
	TRANSPORT_SCTP = 132,
	TRANSPORT_UDP_LITE = 136,
};

enum { HEADER_POSSIBLE = 31 }; /* a mask for the verifier */

struct filter;
struct connection;

struct packet {
	void *context;
	struct ethernet *ethernet;
	void *payload; /* behind the headers of Ethernet, */
	u32 header;    /* which are as long as this, HEADER_POSSIBLE at most */
	struct ipv4 *ipv4;
	void *end;
	u32 length;  /* of the frame */
	u32 segment; /* of the longest frame it will be cut into: on TC it may be many in one */
	u32 carried; /* of the frame, as bridges measure it: nothing where it will be cut */
	u32 padding; /* bytes behind the IPv4 packet, which are in none of these lengths */
	u64 network_device; /* the net_device IP sees: the one it came in by, or the bridge above */
	u64 network;	    /* the namespace, struct net */
	u64 port;	    /* the bridge port it came in by */
	u64 bridge;
	u64 to_port; /* the port it goes out by, while rules are still to be asked for what is bridged */
	u64 egress; /* the net_device it goes out by */
	u32 egress_index;
	u32 mark;
	u64 new_destination; /* MAC addresses as words, when routed */
	u64 new_source;
#if JUDGES_RULES
	struct filter *filter; /* what it met, when rules have been asked */
#endif
#if FOLLOWS_CONNECTIONS
	struct connection *connection; /* what is known of it, once it has been found */
#endif
	u8 routed;
	u8 is_own;    /* IPv4 for one of the machine's addresses */
	u16 protocol; /* of the payload */
	u16 vlan;     /* on a bridge that filters; 0 where none does */
	u16 control;  /* of the tag that has been understood as the bridge's */
	u8 tagged;    /* whether it came with such a tag */
	u8 leaves_tagged;
};

fp_inline u64 mac_word(const u8 *address)
{
	return (u64) * (const u32 *)address | (u64) * (const u16 *)(address + 4) << 32;
}
#define MAC_MASK 0xffffffffffffULL

/* ---- counters ---- */

enum { COUNTERS = 128 };

struct counter {
	u64 packets;
	u64 bytes;
};

struct {
	map_number(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	map_number(max_entries, COUNTERS);
	map_type(key, u32);
	map_type(value, struct counter);
} fpd_stats SEC(".maps");

fp_inline void count(u32 index, u32 length)
{
	struct counter *counter = bpf_map_lookup_elem(&fpd_stats, &index);
	if (!counter)
		return;
	counter->packets++;
	counter->bytes += length;
}

/* For who asks: 0 punt, 1 forward, 2 drop. */
fp_inline u32 verdict_of(outcome outcome)
{
	return outcome == FORWARD ? 1 : outcome == DROP ? 2 : 0;
}

/*
 * What the verifier does not know any more. It walks what comes behind once for each reason otherwise, which
 * is a third of its work, and that work is most of what fpd's reaction takes.
 */
fp_inline outcome forgotten(outcome outcome)
{
	u64 never = bpf_jiffies64() >> 63;
	return outcome ^ (s32)(never * 0xffffffff);
}

#if JUDGES_RULES
/* firewall.h */
fp_inline u32 fp_rule_of(const struct packet *packet);
fp_inline void fp_count_rules(const struct packet *packet, outcome outcome);
#else
#define fp_rule_of(packet) 0
#define fp_count_rules(packet, outcome) (void)(packet)
#endif

/* What a packet carries that fpd sends through the program only to hear what becomes of it. */
#define QUESTION_MAGIC 0x666c7079686d7770ULL

/* ---- constants set when the program is loaded ---- */

enum { HOOK_FUNCTIONS = 12 };

/* The functions that stood on a netfilter hook when the program was made. */
struct expected_hook {
	u64 count; /* for programs that do not know it by themselves */
	u64 functions[HOOK_FUNCTIONS];
};

enum { IPV4_HOOKS = 3, BRIDGE_HOOKS = 5, LEGACY_TABLES_MAX = 8 };

/* A table of iptables-legacy: where the kernel has the address of its ruleset, and what it was. */
struct expected_table {
	u64 place;
	u64 ruleset;
};

/* What a program that judges by rules was made from: see live/epoch.h. */
struct expected_rules {
	/* What each function is called with: its table, its chain. */
	u64 ipv4_owners[IPV4_HOOKS][HOOK_FUNCTIONS];
	u64 bridge_owners[BRIDGE_HOOKS][HOOK_FUNCTIONS];
	u64 tables_count;
	struct expected_table tables[LEGACY_TABLES_MAX];
	u64 replaces;	      /* of tables, in all namespaces together */
	u64 generation_place; /* where the kernel counts the commits to nftables; 0: none matters */
	u64 generation;
};

/* What a program for every interface is to do on this one. */
enum {
	CONFIG_BRIDGE = 1 << 0,
	CONFIG_ROUTER = 1 << 1,
	CONFIG_CALLS_IPTABLES = 1 << 2,
	CONFIG_VETH = 1 << 3,
	CONFIG_BEHIND_VETH = 1 << 4, /* generic XDP on a veth */
};

struct fpd_config {
	u64 flags;
	u64 rx_handler;			/* br_handle_frame */
	struct expected_hook ipv4[3];	/* prerouting, forward, postrouting */
	struct expected_hook bridge[5]; /* as bridge hooks are numbered */
	struct expected_rules rules;	/* for programs that judge by rules */
};

const volatile struct fpd_config config SEC(".rodata") = { 0 };

#endif
