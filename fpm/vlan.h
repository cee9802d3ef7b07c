/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Bridges that filter by VLAN, 802.1Q: __allowed_ingress(), br_allowed_egress(), br_handle_vlan().
 *
 * Contract, Bridge: untagged and priority-tagged frames belong to the PVID, others to the VLAN of their
 * tag; both ports, and the bridge for what is its own, must have the VLAN, forwarding; the egress port's
 * entry says whether the frame leaves tagged. Another tag below or another protocol's: punt. Bridges
 * that count per VLAN: punt, the counters are the kernel's.
 */
#ifndef FPM_VLAN_H
#define FPM_VLAN_H

#include "live/vlan.h"
#include "packet.h"

enum {
	BRIDGE_COUNTS_VLANS = 1 << 1,  /* BROPT_VLAN_STATS_ENABLED */
	BRIDGE_SNOOPS_VLANS = 1 << 15, /* BROPT_MCAST_VLAN_SNOOPING_ENABLED */
};

#if HAS_VLANS

/* __allowed_ingress(): the VLAN of a frame that enters by a port, or from the bridge itself. */
fp_inline outcome fp_vlan_enter(struct packet *packet, u64 group, u64 options)
{
	if (options & BRIDGE_COUNTS_VLANS)
		return REASON_VLAN_STATISTICS;
	if (live(packet->bridge, net_bridge, vlan_proto) != network_order(PROTOCOL_VLAN))
		return REASON_VLAN_PROTOCOL;
	packet->vlan = packet->control & VLAN_ID;
	if (!packet->vlan) {
		packet->vlan = live(group, net_bridge_vlan_group, pvid);
		if (!packet->vlan)
			return REASON_VLAN_NOT_ALLOWED;
		if (!(options & BRIDGE_SNOOPS_VLANS)) {
			u8 state = live(group, net_bridge_vlan_group, pvid_state);
			return state == VLAN_FORWARDING ? GO_ON : REASON_VLAN_NOT_ALLOWED;
		}
	}
	u64 entry = fp_vlan_find(group, packet->vlan);
	if (!entry || !vlan_is_open(look(entry)))
		return REASON_VLAN_NOT_ALLOWED;
	return GO_ON;
}

/* br_allowed_egress() and br_handle_vlan(): whether it may leave by the group's port, and how. */
fp_inline outcome fp_vlan_leave(struct packet *packet, u64 group)
{
	u64 found = fp_vlan_find(group, packet->vlan);
	if (!found)
		return REASON_VLAN_NOT_ALLOWED;
	window entry = look(found);
	if (!vlan_is_open(entry))
		return REASON_VLAN_NOT_ALLOWED;
	packet->leaves_tagged = !(seen(entry, net_bridge_vlan, flags) & VLAN_UNTAGGED);
	return GO_ON;
}

#else

#define vlans_of_port(port) 0
#define vlans_of_bridge(bridge) 0

/* A kernel that was built without filtering, or one too old. */
fp_inline outcome fp_vlan_enter(struct packet *packet, u64 group, u64 options)
{
	(void)packet, (void)group, (void)options;
	return REASON_VLAN_NOT_ALLOWED;
}

fp_inline outcome fp_vlan_leave(struct packet *packet, u64 group)
{
	(void)packet, (void)group;
	return REASON_VLAN_NOT_ALLOWED;
}

#endif

#endif
