/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * ip_rcv_finish() to ip_finish_output2(), for packets that are forwarded.
 *
 * Contract, IPv4: frames for another host, martians, packets from our own addresses, reverse path
 * filtering, forwarding switched off, policy rules, what is not a plain route to one next hop,
 * exceptions, encapsulation, redirects, TTL, MTU, IPsec, neighbours: forwarded as the kernel would, or
 * punted with a reason each. Everything is read for this packet: settings that the program was not made
 * for are seen by the first packet after they changed.
 */
#ifndef FPM_ROUTER_H
#define FPM_ROUTER_H

#include "live/device.h"
#include "live/fib.h"
#include "live/neighbour.h"
#include "live/netfilter.h"
#include "live/network.h"
#include "parse.h"
#if !FOLLOWS_CONNECTIONS
#define fp_destination(packet) ((packet)->ipv4->destination)
#endif

enum {
	POLICY_OUT = 1,
	POLICY_FORWARD = 2,
	POLICY_ACCEPT = 2, /* XFRM_USERPOLICY_ACCEPT */
	PATH_NOT_CHECKED = 0,
	PATH_STRICT = 1,
};

/* Martians: addresses that ip_route_input_slow() looks at before any route. */
fp_inline outcome judge_addresses(u32 source, u32 destination)
{
	u32 from = source & 0xff;
	u32 to = destination & 0xff;
	if (from == 0 || from == 127 || from >= 224)
		return REASON_MARTIAN_SOURCE;
	if (to == 0 || to == 127 || to >= 224)
		return REASON_MARTIAN_DESTINATION;
	return GO_ON;
}

/* What must hold in the namespace for the main table to be all there is to ask. */
fp_inline outcome judge_network(struct network network)
{
	if (of_network(network, fib_num_tclassid_users))
		return REASON_ROUTE_REALMS;
	/* the numbers of policies of two directions lie side by side, and the defaults not far off */
	window ipsec = look(network.address + OFFSET(net, policy_count) + 4 * POLICY_OUT);
	if (ipsec[0])
		return REASON_IPSEC_POLICIES;
#if HAS_net_policy_default
	u64 defaults = OFFSET(net, policy_default) - OFFSET(net, policy_count) - 4 * POLICY_OUT;
	if ((u8)word_at(ipsec, defaults + POLICY_OUT) != POLICY_ACCEPT ||
	    (u8)word_at(ipsec, defaults + POLICY_FORWARD) != POLICY_ACCEPT)
		return REASON_IPSEC_POLICIES;
#endif
	return GO_ON;
}

/* __fib_validate_source(), with rp_filter on */
fp_inline outcome judge_way_back(const struct packet *packet, struct network network, u64 in_device,
				 s32 path)
{
	struct route back = { 0 };
	if (fp_fib_find(network, packet->ipv4->source, &back) != FORWARD)
		return REASON_REVERSE_PATH;
	if (back.type == ROUTE_LOCAL)
		return REASON_OWN_SOURCE;
	if (back.type != ROUTE_UNICAST || back.several)
		return REASON_REVERSE_PATH;
	window hop = look(back.hop);
	if (seen(hop, fib_nh_common, nhc_flags) & (ROUTE_DEAD | ROUTE_LINKDOWN))
		return REASON_REVERSE_PATH;
	if ((u64)seen(hop, fib_nh_common, nhc_dev) == packet->network_device)
		return GO_ON;
	/* loose: any way back will do, if the device has addresses at all */
	if (path == PATH_STRICT || !live(in_device, in_device, ifa_list))
		return REASON_REVERSE_PATH;
	return GO_ON;
}

/* fib_validate_source() */
fp_inline outcome judge_source(const struct packet *packet, struct network network, u64 in_device,
			       struct settings settings)
{
	s32 path = conf_of_device(settings, CONF_RP_FILTER);
	s32 path_of_all = conf_of_all(settings, CONF_RP_FILTER);
	if (path_of_all > path)
		path = path_of_all;
	if (!ROUTER_CHECKS_PATH && path != PATH_NOT_CHECKED)
		return REASON_CHANGED;
	if (path != PATH_NOT_CHECKED)
		return judge_way_back(packet, network, in_device, path);
	if (conf_of_either(settings, CONF_ACCEPT_LOCAL))
		return GO_ON;
	if (of_network(network, fib_has_custom_local_routes))
		return REASON_LOCAL_ROUTES; /* the kernel asks the table, for good */
	if (fp_fib_is_own(network, packet->ipv4->source))
		return REASON_OWN_SOURCE;
	return GO_ON;
}

/* The exceptions of a next hop matter where redirects or path MTUs are heeded for what is forwarded. */
fp_inline outcome judge_exceptions(struct network network, window hop, u64 metrics,
				   struct settings settings)
{
	if (!seen(hop, fib_nh_common, nhc_exceptions))
		return GO_ON;
	if (conf_of_all(settings, CONF_ACCEPT_REDIRECTS) ||
	    of_network(network, sysctl_ip_fwd_use_pmtu))
		return REASON_NEXT_HOP_EXCEPTION;
	if (live_u32(metrics, OFFSET(dst_metrics, metrics) + 4 * METRIC_LOCK) &
	    1 << (METRIC_MTU + 1))
		return REASON_NEXT_HOP_EXCEPTION;
	return GO_ON;
}

/* Finds where the packet goes and what its frame has to say there; changes nothing yet. */
fp_inline outcome fp_router_decide(struct packet *packet)
{
	struct ipv4 *ipv4 = packet->ipv4;
	u32 destination = fp_destination(packet);
	struct network network = network_at(packet->network);
	u64 in_device = (u64)live(packet->network_device, net_device, ip_ptr);
	if (!in_device)
		return REASON_OTHER_PROTOCOL;
	struct settings settings = settings_of(network, in_device);

	outcome result = judge_addresses(ipv4->source, destination);
	if (result != GO_ON)
		return result;

	if (of_network(network, fib_has_custom_rules))
		return REASON_POLICY_RULES;
	struct route route = { 0 };
	result = fp_fib_find(network, destination, &route);
	if (result != FORWARD)
		return result;
	if (route.type == ROUTE_LOCAL) {
		packet->is_own = 1;
		return REASON_LOCAL_DELIVERY;
	}
	if (route.type != ROUTE_UNICAST)
		return REASON_ROUTE_TYPE;
	if (!conf_of_device(settings, CONF_FORWARDING))
		return REASON_FORWARDING_OFF;
	if (ipv4->ttl <= 1)
		return REASON_TTL_EXPIRED;
	result = judge_network(network);
	if (result != GO_ON)
		return result;
#if !FOLLOWS_CONNECTIONS
	result = fp_netfilter_ipv4(packet->network);
	if (result != GO_ON)
		return result;
#endif
	result = judge_source(packet, network, in_device, settings);
	if (result != GO_ON)
		return result;

	if (route.several)
		return REASON_MULTIPATH;
	window hop = look(route.hop);
	if (seen(hop, fib_nh_common, nhc_flags) & (ROUTE_DEAD | ROUTE_LINKDOWN))
		return REASON_NEXT_HOP;
	if (seen(hop, fib_nh_common, nhc_lwtstate))
		return REASON_ENCAPSULATED_ROUTES;
	u32 gateway = destination;
	if (seen(hop, fib_nh_common, nhc_gw_family)) {
		if (seen(hop, fib_nh_common, nhc_gw_family) != GATEWAY_IPV4 ||
		    seen(hop, fib_nh_common, nhc_scope) != SCOPE_LINK)
			return REASON_NEXT_HOP;
		gateway = seen(hop, fib_nh_common, nhc_gw);
	}
	u64 metrics = (u64)live(route.info, fib_info, fib_metrics);
	result = judge_exceptions(network, hop, metrics, settings);
	if (result != GO_ON)
		return result;

	u64 egress = (u64)seen(hop, fib_nh_common, nhc_dev);
	struct device device = device_at(egress);
	if (egress == packet->network_device && conf_of_either(settings, CONF_SEND_REDIRECTS))
		return REASON_REDIRECT_NEEDED;
	result = fp_device_can_send(device);
	if (result != GO_ON)
		return result;
	if (of_device(device, type) != DEVICE_ETHERNET ||
	    of_device(device, hard_header_len) < ETHERNET_HEADER)
		return REASON_EGRESS_DEVICE;
	u32 mtu = live_u32(metrics, OFFSET(dst_metrics, metrics) + 4 * METRIC_MTU);
	if (!mtu)
		mtu = of_device(device, mtu);
	if (packet->segment - ETHERNET_HEADER > mtu)
		return REASON_MTU_EXCEEDED;

	u64 out = (u64)of_device(device, ip_ptr);
	if (!out)
		return REASON_EGRESS_DEVICE;
	result = fp_neighbour_find(out, egress, gateway, &packet->new_destination);
	if (result != GO_ON)
		return result;
	packet->new_source = live_word((u64)of_device(device, dev_addr)) & MAC_MASK;
	packet->egress = egress;
	packet->egress_index = (u32)of_device(device, ifindex);
	packet->routed = 1;
	return FORWARD;
}

#endif
