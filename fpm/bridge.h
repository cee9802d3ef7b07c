/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * br_handle_frame() to br_dev_queue_push_xmit(), for frames to one known station.
 *
 * Contract, Bridge: invalid sources, multicast, port states, VLAN filtering, port flags, learning and
 * ageing, local and unknown destinations, netfilter. The bridge's own tables are read for each frame. A
 * source that is unknown, has moved, or whose entry has not been refreshed lately goes to the kernel,
 * which learns and refreshes: an entry that is in use never ages out.
 */
#ifndef FPM_BRIDGE_H
#define FPM_BRIDGE_H

#include "live/device.h"
#include "live/fdb.h"
#include "live/netfilter.h"
#include "parse.h"
#if FILTERS_VLANS
#include "vlan.h"
#endif
#if BRIDGED_ARE_JUDGED && JUDGES_RULES
#include "filter.h"
#endif

enum {
	PORT_FORWARDING = 3,	    /* BR_STATE_FORWARDING */
	PORT_LEARNING = 1 << 5,	    /* BR_LEARNING */
	PORT_VLAN_TUNNEL = 1 << 13, /* BR_VLAN_TUNNEL */
	PORT_ISOLATED = 1 << 16,    /* BR_ISOLATED */
	PORT_LOCKED = 1 << 21,	    /* BR_PORT_LOCKED */
	PORT_NEEDS_KERNEL = PORT_VLAN_TUNNEL | PORT_LOCKED,
	BRIDGE_VLANS = 1 << 0,			/* BROPT_VLAN_ENABLED */
	BRIDGE_SUPPRESSES_NEIGHBOURS = 1 << 10, /* BROPT_NEIGH_SUPPRESS_ENABLED */
	BRIDGE_GROUPS_VLANS = 1 << 16,		/* BROPT_MST_ENABLED */
	/* An entry is refreshed after a small part of the ageing time: some 1.3 s of the usual 300. */
	REFRESH_SHIFT = 8,
	REFRESH_SHIFT_OF_SHORT = 5,
	REFRESH_LEAST = 32, /* jiffies */
};

/* netdev_priv() of a bridge */
fp_inline u64 bridge_of(struct device device)
{
#if HAS_net_device_priv
	return device.address + OFFSET(net_device, priv);
#else
	return device.address + (SIZE_net_device + 31) / 32 * 32;
#endif
}

/*
 * Whether a frame on a port is for the bridge itself, which may be said before anything else is looked at:
 * it is left to the kernel in any case.
 */
fp_inline int fp_bridge_is_addressed(const void *frame, u64 device)
{
	u64 port = (u64)live(device, net_device, rx_handler_data);
	u64 bridge = (u64)live(live(port, net_bridge_port, br), net_bridge, dev);
	u64 own = live_word((u64)live(bridge, net_device, dev_addr));
	return ((live_word((u64)frame) ^ own) & MAC_MASK) == 0;
}

/* br_handle_frame(): what is no frame from a station to a station. */
fp_inline outcome judge_frame(const struct packet *packet, struct device device)
{
	u64 source = mac_word(packet->ethernet->source);
	if (source & 1 || !source)
		return REASON_INVALID_SOURCE_MAC;
	switch (packet->protocol) {
	case network_order(PROTOCOL_ARP):
	case network_order(PROTOCOL_MRP):
	case network_order(PROTOCOL_CFM):
		return REASON_OTHER_PROTOCOL;
	case network_order(PROTOCOL_VLAN):
	case network_order(PROTOCOL_VLAN_SERVICE):
		return device_has_vlans(device) ? REASON_VLAN_TAG : GO_ON;
	default:
		return GO_ON;
	}
}

/*
 * br_netfilter stands on the bridge's hooks: br_nf_pre_routing() takes packets through those of IP. Where
 * nothing stands there, it lets pass what is a sound IPv4 packet as it is, and drops or trims the rest.
 */
fp_inline outcome judge_called_packet(struct packet *packet)
{
	switch (packet->protocol) {
	case network_order(PROTOCOL_IPV4): {
		if (BRIDGED_MEET_RULES || fp_netfilter_ipv4(packet->network) != GO_ON)
			return REASON_BRIDGE_NETFILTER;
		outcome result = fp_parse_ipv4(packet);
		return result == GO_ON && packet->padding ? REASON_PADDING : result;
	}
	case network_order(PROTOCOL_IPV6):
		return REASON_IPV6_NOT_MODELLED;
	case network_order(PROTOCOL_VLAN):
	case network_order(PROTOCOL_VLAN_SERVICE):
		return REASON_VLAN_TAG;
	case network_order(PROTOCOL_PPPOE):
		return REASON_OTHER_PROTOCOL;
	default:
		return GO_ON;
	}
}

#if BRIDGED_ARE_JUDGED
/*
 * br_nf_pre_routing() and br_nf_forward_ip() ask the rules for what is bridged, with the bridge on both sides: the
 * packet is to be judged as if it came from there and went back, and then to be sent to `port`.
 */
fp_inline outcome hand_to_rules(struct packet *packet, u64 port)
{
	packet->to_port = port;
	packet->egress = packet->network_device;
	packet->egress_index = (u32)live(packet->egress, net_device, ifindex);
	return GO_ON;
}
#endif

/* br_fdb_update(): nothing that the kernel would learn. */
fp_inline outcome judge_station(const struct packet *packet, u64 table, u64 bridge, u64 vlan)
{
	u64 entry = fp_fdb_find(table, mac_word(packet->ethernet->source) | vlan);
	if (!entry)
		return REASON_SOURCE_UNKNOWN;
	window about = look(entry);
	u64 flags = seen(about, net_bridge_fdb_entry, flags);
	if ((u64)seen(about, net_bridge_fdb_entry, dst) != packet->port || flags & ENTRY_LOCAL)
		return REASON_SOURCE_MOVED;
	if (flags & (ENTRY_NOTIFIES | ENTRY_LOCKED))
		return REASON_BRIDGE_PORT_FLAG;
	if (flags & ENTRY_STATIC)
		return GO_ON;
	u64 age = bpf_jiffies64() - live(entry, net_bridge_fdb_entry, updated);
	u64 ageing = live(bridge, net_bridge, ageing_time);
	u64 patience = ageing >> REFRESH_SHIFT_OF_SHORT;
	if (patience > REFRESH_LEAST)
		patience = REFRESH_LEAST;
	if (age > (ageing >> REFRESH_SHIFT) + patience)
		return REASON_AGEING_REFRESH;
	return GO_ON;
}

/* br_forward(): the port that `entry` names, and its device, take the frame. */
fp_inline outcome send_through(struct packet *packet, u64 to, u64 flags_of_source)
{
	window port = look(to);
	u64 flags = seen(port, net_bridge_port, flags);
	if (live(to, net_bridge_port, state) != PORT_FORWARDING)
		return REASON_PORT_NOT_FORWARDING;
	if (flags & PORT_VLAN_TUNNEL)
		return REASON_BRIDGE_PORT_FLAG;
	if (flags & flags_of_source & PORT_ISOLATED)
		return REASON_ISOLATED_PORT;
#if HAS_net_bridge_port_hwdom
	if (live(to, net_bridge_port, hwdom))
		return REASON_BRIDGE_PORT_FLAG;
#endif
	u64 egress = (u64)seen(port, net_bridge_port, dev);
	struct device device = device_at(egress);
	outcome result = fp_device_can_send(device);
	if (result != GO_ON)
		return result;
	u32 carried = packet->carried;
#if FILTERS_VLANS
	if (packet->vlan) {
		result = fp_vlan_leave(packet, vlans_of_port(to));
		if (result != GO_ON)
			return result;
		if (packet->leaves_tagged)
			carried += TAG_IN_FRAME; /* what XDP passes on is measured with it */
	}
#if BRIDGE_CALLS_IPTABLES
	if (packet->leaves_tagged)
		return REASON_BRIDGE_NETFILTER;
#endif
#endif
	/* is_skb_forwardable() leaves room for a tag; br_nf_dev_queue_xmit() cuts packets that take it */
	u32 most = (u32)of_device(device, mtu) + (u32)of_device(device, hard_header_len);
	if (!BRIDGE_CALLS_IPTABLES || packet->protocol != network_order(PROTOCOL_IPV4))
		most += VLAN_TAG;
	if (carried > most)
		return REASON_MTU_EXCEEDED;
	packet->egress = egress;
	packet->egress_index = (u32)of_device(device, ifindex);
	return FORWARD;
}

/* What of VLANs the bridge makes of a frame; one that does not filter takes tags for payload. */
fp_inline outcome sort_by_vlan(struct packet *packet, struct device device, u64 options)
{
#if FILTERS_VLANS
	if (options & BRIDGE_VLANS) {
		if (!fp_untag(packet))
			return REASON_QINQ;
		switch (packet->protocol) {
		case network_order(PROTOCOL_VLAN):
		case network_order(PROTOCOL_VLAN_SERVICE):
			return REASON_QINQ;
		}
		if (packet->tagged && device_has_vlans(device))
			return REASON_VLAN_TAG;
		return fp_vlan_enter(packet, vlans_of_port(packet->port), options);
	}
	if (fp_is_tagged_beside(packet))
		return REASON_VLAN_TAG;
	return GO_ON;
#else
	(void)packet, (void)device;
	return options & BRIDGE_VLANS ? REASON_CHANGED : GO_ON;
#endif
}

/*
 * Finds the port that the frame goes out by. GO_ON: it is addressed to the bridge itself, or rules are to be asked
 * first, and `network_device` is the bridge.
 */
fp_inline outcome fp_bridge_decide(struct packet *packet, struct device device)
{
	if ((u64)of_device(device, rx_handler) != config.rx_handler)
		return REASON_RECEIVE_HANDLER;
	outcome result = fp_netfilter_bridge_in(packet->network);
	if (result != GO_ON)
		return result;

	packet->port = (u64)of_device(device, rx_handler_data);
	window port = look(packet->port);
	u64 flags = seen(port, net_bridge_port, flags);
	if (live(packet->port, net_bridge_port, state) != PORT_FORWARDING)
		return REASON_PORT_NOT_FORWARDING;
	if (flags & PORT_NEEDS_KERNEL)
		return REASON_BRIDGE_PORT_FLAG;
#if HAS_net_bridge_port_hwdom
	if (live(packet->port, net_bridge_port, hwdom))
		return REASON_BRIDGE_PORT_FLAG;
#endif
	packet->bridge = (u64)seen(port, net_bridge_port, br);
	window bridge = look(packet->bridge);
	u64 options = seen(bridge, net_bridge, options);
	if (options & BRIDGE_GROUPS_VLANS)
		return REASON_MULTIPLE_SPANNING_TREE;
	result = sort_by_vlan(packet, device, options);
	if (result != GO_ON)
		return result;
	result = judge_frame(packet, device);
	if (result != GO_ON)
		return result;
	if (options & BRIDGE_SUPPRESSES_NEIGHBOURS) {
		if (packet->protocol == network_order(PROTOCOL_IPV6))
			return REASON_IPV6_NOT_MODELLED;
		if (packet->protocol == network_order(PROTOCOL_VLAN))
			return REASON_VLAN_TAG;
	}
	packet->network_device = (u64)seen(bridge, net_bridge, dev);

	u64 table = (u64)seen(bridge, net_bridge, fdb_hash_tbl);
	u64 vlan = (u64)packet->vlan << 48;
	if (flags & PORT_LEARNING) {
		result = judge_station(packet, table, packet->bridge, vlan);
		if (result != GO_ON)
			return result;
	}
	u64 entry = fp_fdb_find(table, mac_word(packet->ethernet->destination) | vlan);
	if (!entry)
		return REASON_DESTINATION_UNKNOWN;
	window about = look(entry);
	if (seen(about, net_bridge_fdb_entry, flags) & ENTRY_LOCAL)
		return GO_ON;
	result = fp_netfilter_bridge_through(packet->network);
	if (result != GO_ON)
		return result;
	if (live(packet->network_device, net_device, flags) & DEVICE_PROMISCUOUS)
		return REASON_PACKET_TAP;
	u64 to = (u64)seen(about, net_bridge_fdb_entry, dst);
	if (!to)
		return REASON_LOCAL_DELIVERY;
	if (to == packet->port)
		return REASON_SAME_PORT;
	if (BRIDGE_CALLS_IPTABLES) {
		if (packet->tagged)
			return REASON_BRIDGE_NETFILTER;
#if BRIDGED_ARE_JUDGED
		if (packet->protocol == network_order(PROTOCOL_IPV4))
			return hand_to_rules(packet, to);
#endif
		result = judge_called_packet(packet);
		if (result != GO_ON)
			return result;
	}
	return send_through(packet, to, flags);
}

#if FILTERS_VLANS
/* br_allowed_egress() and br_handle_vlan() of the bridge itself: IP sees what has no tag any more. */
fp_inline outcome leave_vlan(struct packet *packet)
{
	if (!packet->vlan)
		return GO_ON;
	outcome result = fp_vlan_leave(packet, vlans_of_bridge(packet->bridge));
	if (result != GO_ON)
		return result;
	if (packet->leaves_tagged)
		return REASON_VLAN_TAG;
	packet->control = 0;
	packet->vlan = 0;
	return GO_ON;
}
#endif

/* br_pass_frame_up(): the frame is for the bridge itself, and nothing stands there before IP. */
fp_inline outcome fp_bridge_pass_up(struct packet *packet)
{
	struct device device = device_at(packet->network_device);
	outcome result = fp_device_enter(device, packet->network);
	if (result != GO_ON)
		return result;
	if (of_device(device, rx_handler))
		return REASON_RECEIVE_HANDLER;
	/* another port's address is the bridge's, too, but IP takes no such frame */
	u64 own = live_word((u64)of_device(device, dev_addr)) & MAC_MASK;
	if (mac_word(packet->ethernet->destination) != own ||
	    !(of_device(device, flags) & DEVICE_UP))
		return REASON_LOCAL_DELIVERY;
#if FILTERS_VLANS
	result = leave_vlan(packet);
	if (result != GO_ON)
		return result;
#endif
	return fp_netfilter_bridge_up(packet->network);
}

/* br_dev_xmit(), for a packet that was routed into a bridge: the port that it leaves by. */
fp_inline outcome fp_bridge_carry(struct packet *packet)
{
	struct device device = device_at(packet->egress);
	outcome result = fp_device_leave(device);
	if (result != GO_ON)
		return result;
	if (!device_queues_plainly(device))
		return REASON_EGRESS_QDISC;
	result = fp_netfilter_bridge_out(packet->network);
	if (result != GO_ON)
		return result;
	packet->bridge = bridge_of(device);
	window bridge = look(packet->bridge);
	u64 options = seen(bridge, net_bridge, options);
	if (options & BRIDGE_GROUPS_VLANS)
		return REASON_MULTIPLE_SPANNING_TREE;
#if FILTERS_VLANS
	if (options & BRIDGE_VLANS) {
		result = fp_vlan_enter(packet, vlans_of_bridge(packet->bridge), options);
		if (result != GO_ON)
			return result;
	}
#else
	if (options & BRIDGE_VLANS)
		return REASON_CHANGED;
#endif
	u64 entry = fp_fdb_find((u64)seen(bridge, net_bridge, fdb_hash_tbl),
				packet->new_destination | (u64)packet->vlan << 48);
	if (!entry)
		return REASON_DESTINATION_UNKNOWN;
	window about = look(entry);
	u64 to = (u64)seen(about, net_bridge_fdb_entry, dst);
	if (seen(about, net_bridge_fdb_entry, flags) & ENTRY_LOCAL || !to)
		return REASON_DESTINATION_UNKNOWN;
	return send_through(packet, to, 0);
}

#if BRIDGED_ARE_JUDGED
/*
 * What holds for rules of a packet that is routed has to hold for this one: its destination is another host's, and
 * nothing is translated. No rule sees the TTL that forwarding would leave.
 */
fp_inline outcome fp_bridge_may_ask(const struct packet *packet)
{
	struct network network = network_at(packet->network);
	struct route route = { 0 };
	const struct ipv4 *ipv4 = packet->ipv4;
	if (packet->padding)
		return REASON_PADDING;
#if JUDGES_RULES
	if (FILTER_USES(FIELD_TTL))
		return REASON_BRIDGE_NETFILTER;
#endif
#if FOLLOWS_CONNECTIONS
	if (packet->connection->translates)
		return REASON_BRIDGE_NETFILTER;
#else
	outcome result = fp_netfilter_ipv4(packet->network);
	if (result != GO_ON)
		return result;
#endif
	if (judge_addresses(ipv4->source, ipv4->destination) != GO_ON ||
	    of_network(network, fib_has_custom_rules) ||
	    fp_fib_find(network, ipv4->destination, &route) != FORWARD ||
	    route.type != ROUTE_UNICAST)
		return REASON_BRIDGE_NETFILTER;
	return FORWARD;
}

/* The rules have let it pass: it goes on as without them. */
fp_inline outcome fp_bridge_go_on(struct packet *packet)
{
	return send_through(packet, packet->to_port, live(packet->port, net_bridge_port, flags));
}
#endif

#endif
