/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What view.bpf.c and fpd exchange: one area, the program's only global, mapped into the daemon.
 */
#ifndef FPM_LIVE_VIEW_H
#define FPM_LIVE_VIEW_H

enum {
	VIEW_HOOKS_MAX = 256,
	VIEW_DEVICES_MAX = 256,
	VIEW_SYMBOL_SIZE = 48,
	VIEW_NAME_SIZE = 32,
	VIEW_XDP_MODES = 3,
	VIEW_CONF_WORDS = 16,
};

/* This kernel keeps the taps on all devices in one list for all namespaces. */
#define VIEW_TAPS_UNKNOWN 0xffffffffu

/* Numbers that differ when what they stand for differs. */
struct view_identity {
	unsigned long long hooks;	/* which functions stand on which hooks, in every family */
	unsigned long long xtables;	/* the rulesets of iptables-legacy behind them */
	unsigned long long nftables;	/* the generation of nftables */
	unsigned long long devices;	/* XDP, TCX, netfilter, taps, rx_handlers of all devices */
	unsigned long long device_conf; /* the IPv4 settings of all devices, "all", "default" */
	unsigned long long routes;	/* sequence numbers of the routing tables */
	unsigned long long policies;	/* IPsec policies */
	unsigned long long walked;	/* devices seen */
};

struct view_hook {
	unsigned char family; /* NFPROTO_* */
	unsigned char hook;
	unsigned char nf_tables; /* the function evaluates an nftables chain */
	unsigned char spare;
	int priority;
	unsigned long long address; /* of the function */
	unsigned long long owner;   /* what it is called with: a table, a chain */
	/* Of a table of iptables-legacy: where it keeps the address of its ruleset, and that. */
	unsigned long long ruleset_place;
	unsigned long long ruleset;
	char function[VIEW_SYMBOL_SIZE];
	char table[VIEW_NAME_SIZE];
	char chain[VIEW_NAME_SIZE];
};

struct view_device {
	int ifindex; /* in: which device */
	unsigned int found;
	unsigned int xdp[VIEW_XDP_MODES]; /* program ids: generic, driver, hardware */
	unsigned int tcx_ingress;	  /* how many programs */
	unsigned int tcx_egress;
	unsigned int nf_ingress; /* how many netfilter functions */
	unsigned int nf_egress;
	unsigned int taps;
	unsigned int strips_tags; /* takes VLAN tags off the frame */
	unsigned long long rx_handler_address;
	char rx_handler[VIEW_SYMBOL_SIZE];
};

struct view_area {
	struct view_identity identity;
	unsigned int hooks_count;    /* VIEW_HOOKS_MAX: there may be more */
	unsigned int devices_count;  /* in: how many of `devices` are asked for */
	unsigned int namespace_taps; /* those on all devices */
	unsigned int generation;     /* of nftables, with the hooks; no place: not told */
	unsigned int generation_cursor;
	unsigned int spare;
	unsigned long long generation_place;
	/* scratch: the stack of a BPF program is 512 bytes */
	char symbol[VIEW_SYMBOL_SIZE];
	unsigned long long conf[VIEW_CONF_WORDS];
	struct view_hook hooks[VIEW_HOOKS_MAX];
	struct view_device devices[VIEW_DEVICES_MAX];
};

#endif
