/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The VLANs of a bridge and of its ports, live: br_vlan_find() over the same rhashtable.
 */
#ifndef FPM_LIVE_VLAN_H
#define FPM_LIVE_VLAN_H

#include "fdb.h"

#define HAS_VLANS                                                                                  \
	(HAS_net_bridge_port_vlgrp && HAS_net_bridge_vlgrp && HAS_net_bridge_vlan_proto &&         \
	 HAS_net_bridge_vlan_group_pvid_state && HAS_net_bridge_vlan_state)

#if HAS_VLANS

enum {
	VLAN_OF_MASTER = 1 << 0, /* BRIDGE_VLAN_INFO_MASTER */
	VLAN_UNTAGGED = 1 << 2,	 /* BRIDGE_VLAN_INFO_UNTAGGED */
	VLAN_OF_BRIDGE = 1 << 5, /* BRIDGE_VLAN_INFO_BRENTRY */
	VLAN_FORWARDING = 3,	 /* BR_STATE_FORWARDING */
	VLANS_IN_BUCKET = 16,
};

fp_inline u64 vlans_of_port(u64 port)
{
	return (u64)live(port, net_bridge_port, vlgrp);
}

fp_inline u64 vlans_of_bridge(u64 bridge)
{
	return (u64)live(bridge, net_bridge, vlgrp);
}

/* jhash() of two bytes */
fp_inline u32 hash_vlan(u16 vlan, u32 seed)
{
	u32 start = (u32)HASH_START + sizeof(vlan) + seed;
	return hash_finally(start + vlan, start, start);
}

/* The entry of a VLAN in a group, 0 if it has none. */
fp_inline u64 fp_vlan_find(u64 group, u16 vlan)
{
	u64 table = (u64)live(group, net_bridge_vlan_group, vlan_hash);
	window about = look(table);
	u32 seed = seen(about, bucket_table, hash_rnd);
	u64 at = first_in_bucket(table, about, hash_vlan(vlan, seed));

	repeat(VLANS_IN_BUCKET)
	{
		or_give_up(many);
		if (!at || at & 1) /* odd: the end of the chain */
			return 0;
		u64 entry = at - OFFSET(net_bridge_vlan, vnode);
		window node = look(entry);
		if (seen(node, net_bridge_vlan, vid) == vlan)
			return entry;
		at = (u64)seen(node, net_bridge_vlan, vnode);
	}
many:
	return 0;
}

/* br_vlan_should_use(), and br_vlan_state_allowed() for what is not only learnt */
fp_inline int vlan_is_open(window entry)
{
	u16 flags = seen(entry, net_bridge_vlan, flags);
	if (flags & VLAN_OF_MASTER && !(flags & VLAN_OF_BRIDGE))
		return 0;
	return seen(entry, net_bridge_vlan, state) == VLAN_FORWARDING;
}

#endif

#endif
