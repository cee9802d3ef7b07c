/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The short way into a container: bpf_redirect_peer() hands a packet to the other end of a veth pair at
 * once instead of queueing it for this processor to come back to.
 *
 * It goes where nothing is on the way that would see, queue, merge or refuse the packet, and only when
 * nothing waits in that queue: a packet that the kernel forwarded a moment ago may be there, and those of
 * one flow must not change places.
 */
#ifndef FPM_LIVE_PEER_H
#define FPM_LIVE_PEER_H

#include "device.h"

#define FP_PEER                                                                                    \
	(HAS_veth_priv_peer && HAS_veth_rq_napi && HAS_proto_per_cpu_fw_alloc &&                   \
	 HAS_softnet_data_cpu && HAS_PERCPU_softnet_data &&                                        \
	 HAS_PERCPU_udp_memory_per_cpu_fw_alloc && HAS_net_device_priv &&                          \
	 HAS_netdev_rx_queue_rps_map)

#if FP_PEER
/*
 * The address of this processor's copy of what every processor has: that of a counter of ours, which is
 * known both as a pointer and by its distance from there. A difference of pointers is a number.
 */
fp_inline u64 this_processor(struct device device)
{
	u32 index = COUNTERS - 1;
	u64 counter = (u64)bpf_map_lookup_elem(&fpd_stats, &index);
	if (!counter)
		return 0;
	u64 map = (u64)&fpd_stats;
	asm("%0 -= %1" : "+r"(counter) : "r"(device.base));
	asm("%0 -= %1" : "+r"(map) : "r"(device.base));
	map += device.address + OFFSET(bpf_array, pptrs);
	return counter + device.address - live_word(map + 8 * (COUNTERS - 1));
}

/*
 * Whether this processor has no packet in the queue that veth devices put theirs into, and none that it has taken out
 * of there to go on with it later.
 */
fp_inline int nothing_is_queued(struct device device, u64 network)
{
	/* one variable of every processor's is known by its address, another by its distance from it */
	u64 socket = (u64)live(network, net, mc_autojoin_sk);
	u64 known = (u64)live(live(socket, sock, skc_prot), proto, per_cpu_fw_alloc);
	u64 here = this_processor(device);
	if (!known || !here)
		return 0;
	u64 softnet = here + known - PERCPU_udp_memory_per_cpu_fw_alloc + PERCPU_softnet_data;
	return live(softnet, softnet_data, cpu) == bpf_get_smp_processor_id() &&
	       live(softnet, softnet_data, queued) == 0 &&
	       live(softnet, softnet_data, in_hand) == 0;
}

/* Whether `egress` is a veth, as `device` may be, too. */
fp_inline int device_is_cable(struct device device, struct device egress)
{
	if (DEVICE_IS_VETH)
		return of_device(device, netdev_ops) == of_device(egress, netdev_ops);
	u64 type = (u64)of_device(egress, rtnl_link_ops);
	return type && live_word((u64)live(type, rtnl_link_ops, kind)) << 24 ==
			       WORD_OF(0, 0, 0, 'v', 'e', 't', 'h', 0);
}

/*
 * Whether a packet that came in by `from` may be handed to what is behind `leaving`: struct net_device. A function of
 * its own, for which the stack has more room.
 */
__attribute__((noinline)) s32 fp_peer_takes(u64 from, u64 leaving, u64 destination, u32 length)
{
	struct device device = device_at(from), egress = device_at(leaving);
	u64 network = (u64)of_device(device, nd_net);
	if (!device_is_cable(device, egress))
		return 0;
	u64 behind_it = device_peer(egress);
	if (!device_is_elsewhere(behind_it, network))
		return 0;
	struct device peer = device_at(behind_it);
	if (!(of_device(peer, flags) & DEVICE_UP))
		return 0;
	/* another station's packet, or one too large for it, is for the kernel to refuse */
	u64 own = live_word((u64)of_device(peer, dev_addr)) & MAC_MASK;
	if (own != destination ||
	    length > (u32)of_device(peer, mtu) + (u32)of_device(peer, hard_header_len) + VLAN_TAG)
		return 0;
	/* XDP or GRO there take packets from a queue of their own, RPS gives them to another processor */
	u64 queues = (u64)live(behind_it + OFFSET(net_device, priv), veth_priv, rq);
	if (live(queues, veth_rq, napi) || live(of_device(peer, _rx), netdev_rx_queue, rps_map))
		return 0;
	if (fp_device_leave(egress) != GO_ON || network_has_taps(network))
		return 0;
	window root = look((u64)of_device(egress, qdisc));
	if (seen(root, Qdisc, handle) ||
	    kind_of_queue(root) != WORD_OF('n', 'o', 'q', 'u', 'e', 'u', 'e', 0))
		return 0;
	return nothing_is_queued(egress, network);
}
#endif

#endif
