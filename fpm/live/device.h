/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Devices, live: what stands on them where packets enter and leave.
 *
 * Contract, Ingress: packet taps, foreign tc and netfilter programs, the receive handler, tags and
 * checksums that are not in the frame. Contract, Egress: programs, taps and queueing disciplines that a
 * redirected frame would pass by; a device that is down, or that would lose it silently.
 */
#ifndef FPM_LIVE_DEVICE_H
#define FPM_LIVE_DEVICE_H

#include "../packet.h"

enum {
	DEVICE_UP = 1 << 0,		/* IFF_UP */
	DEVICE_POINT_TO_POINT = 1 << 4, /* IFF_POINTOPOINT */
	DEVICE_PROMISCUOUS = 1 << 8,	/* IFF_PROMISC */
	DEVICE_NO_CARRIER = 1 << 2,	/* __LINK_STATE_NOCARRIER */
	DEVICE_IS_BRIDGE = 1 << 1,	/* IFF_EBRIDGE */
	DEVICE_TAKES_FRAMES = 1 << 2,	/* NETDEV_XDP_ACT_NDO_XMIT */
	DEVICE_ETHERNET = 1,		/* ARPHRD_ETHER */
	ETHERNET_HEADER = 14,
	ETHERNET_LEAST = 60, /* without the checksum */
	CHECKSUM_PARTIAL = 3,
};
/* NETIF_F_HW_VLAN_CTAG_RX */
#define DEVICE_STRIPS_TAGS (1ULL << 8)

/* NETIF_F_HW_VLAN_CTAG_TX */
#define DEVICE_LAYS_TAGS_ASIDE (1ULL << 7)

struct device {
	u64 address; /* of its struct net_device */
	window base;
};

fp_inline struct device device_at(u64 address)
{
	struct device device = { .address = address, .base = look(address) };
	return device;
}

/* struct net_device is larger than the window on some kernels. */
#define of_device(device, member)                                                                  \
	(OFFSET(net_device, member) / WORD * WORD + WORD <= WINDOW                                 \
		 ? seen((device).base, net_device, member)                                         \
		 : live((device).address, net_device, member))

/* The other end of a cable: struct net_device of it, 0 if there is none or that is not known. */
fp_inline u64 device_peer(struct device device)
{
#if HAS_veth_priv_peer && HAS_net_device_priv
	return (u64)live(device.address + OFFSET(net_device, priv), veth_priv, peer);
#else
	(void)device;
	return 0;
#endif
}

/* Whether such an end is in another namespace. */
fp_inline int device_is_elsewhere(u64 peer, u64 network)
{
	return peer && (u64)live(peer, net_device, nd_net) != network;
}

/* Frames with a tag may be for a VLAN device, which takes them before the receive handler does. */
fp_inline int device_has_vlans(struct device device)
{
#if HAS_net_device_vlan_info
	u64 info = (u64)of_device(device, vlan_info);
	return info && live(info, vlan_info, nr_vlan_devs);
#else
	(void)device;
	return 0;
#endif
}

fp_inline int device_is_bridge(struct device device)
{
	u32 flags = live_u32(device.address, OFFSET(net_device, priv_flags));
	return flags >> SHIFT_net_device_priv_flags & DEVICE_IS_BRIDGE;
}

/* A list without elements points to itself. */
fp_inline int device_has_taps(struct device device)
{
	u64 head = device.address + OFFSET(net_device, ptype_all);
	return (u64)of_device(device, ptype_all) != head;
}

/* Taps on all devices, `tcpdump -i any`: the namespace's or, before Linux 6.16, everybody's. */
fp_inline int network_has_taps(u64 network)
{
#if HAS_net_ptype_all
	return (u64)live(network, net, ptype_all) != network + OFFSET(net, ptype_all);
#elif HAS_net_hotdata_ptype_all
	(void)network;
	u64 head = KSYM_net_hotdata + OFFSET(net_hotdata, ptype_all);
	return KSYM_net_hotdata == 0 || live_word(head) != head;
#else
	(void)network;
	return KSYM_ptype_all == 0 || live_word(KSYM_ptype_all) != KSYM_ptype_all;
#endif
}

fp_inline int device_has_foreign_ingress(struct device device)
{
#if HAS_net_device_tcx_ingress
	return of_device(device, tcx_ingress) != 0;
#else
	return of_device(device, miniq_ingress) != 0;
#endif
}

fp_inline int device_has_foreign_egress(struct device device)
{
#if HAS_net_device_tcx_egress
	return of_device(device, tcx_egress) != 0;
#else
	return of_device(device, miniq_egress) != 0;
#endif
}

fp_inline int device_filters_ingress(struct device device)
{
#if HAS_net_device_nf_hooks_ingress
	return of_device(device, nf_hooks_ingress) != 0;
#else
	(void)device;
	return 0;
#endif
}

fp_inline int device_filters_egress(struct device device)
{
#if HAS_net_device_nf_hooks_egress
	return of_device(device, nf_hooks_egress) != 0;
#else
	(void)device;
	return 0;
#endif
}

/* A text of up to seven characters, as the word that it is in memory. */
#define WORD_OF(a, b, c, d, e, f, g, h)                                                            \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 |             \
	 (u64)(f) << 40 | (u64)(g) << 48 | (u64)(h) << 56)

fp_inline u64 kind_of_queue(window queue)
{
	return live_word((u64)seen(queue, Qdisc, ops) + OFFSET(Qdisc_ops, id));
}

/*
 * Whether a frame that passes by the queueing discipline misses nothing: it is one that the kernel itself
 * put there (those have no handle), of a kind that only hands on, in all queues.
 */
fp_inline int device_queues_plainly(struct device device)
{
	window root = look((u64)of_device(device, qdisc));
	if (seen(root, Qdisc, handle))
		return 0;
	u64 kind = kind_of_queue(root);
	if (kind == WORD_OF('n', 'o', 'q', 'u', 'e', 'u', 'e', 0))
		return 1;
	/* the queues of mq are all of one kind as long as nobody has touched them */
	u64 queue = (u64)of_device(device, _tx);
	kind = kind_of_queue(look((u64)live(queue, netdev_queue, qdisc)));
	return kind == WORD_OF('p', 'f', 'i', 'f', 'o', '_', 'f', 'a') ||
	       kind == WORD_OF('f', 'q', '_', 'c', 'o', 'd', 'e', 'l') ||
	       kind == WORD_OF('n', 'o', 'q', 'u', 'e', 'u', 'e', 0);
}

/* What a tap, a filter or another module on the way into `device` would see; for XDP. */
fp_inline outcome fp_device_enter(struct device device, u64 network)
{
	if (device_has_taps(device) || network_has_taps(network))
		return REASON_PACKET_TAP;
	if (device_has_foreign_ingress(device))
		return REASON_FOREIGN_TC_INGRESS;
	if (device_filters_ingress(device))
		return REASON_NETFILTER_INGRESS;
	return GO_ON;
}

/* The device can send, and takes frames that were made with an Ethernet header. */
fp_inline outcome fp_device_can_send(struct device device)
{
	u32 flags = of_device(device, flags);
	if (!(flags & DEVICE_UP) || of_device(device, state) & DEVICE_NO_CARRIER)
		return REASON_EGRESS_DOWN;
	if (flags & DEVICE_POINT_TO_POINT)
		return REASON_EGRESS_DEVICE;
	return GO_ON;
}

/* Nothing on the way out of `device` that a redirected frame would not meet; for XDP. */
fp_inline outcome fp_device_leave(struct device device)
{
	if (device_has_taps(device))
		return REASON_PACKET_TAP;
	if (device_has_foreign_egress(device))
		return REASON_FOREIGN_TC_EGRESS;
	if (device_filters_egress(device))
		return REASON_NETFILTER_EGRESS;
	return GO_ON;
}

/* The same for the device that carries the frame away: it also queues it, and must take it. */
fp_inline outcome fp_device_redirect(struct device device)
{
	outcome leave = fp_device_leave(device);
	if (leave != GO_ON)
		return leave;
#if HAS_net_device_xdp_features
	if (!(of_device(device, xdp_features) & DEVICE_TAKES_FRAMES))
		return REASON_EGRESS_CANNOT_REDIRECT;
#else
	return REASON_EGRESS_CANNOT_REDIRECT;
#endif
	if (!device_queues_plainly(device))
		return REASON_EGRESS_QDISC;
	return FORWARD;
}

#endif
