/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Made by fpd: bridge, filter, router, on tc */

#include "kernel/numbers.h"

/* the layout of this kernel */
/* What becomes of a packet, as counted. */
enum {
	REASON_PACKET_TAP = 2,
	REASON_RECEIVE_HANDLER = 3,
	REASON_NETFILTER_INGRESS = 4,
	REASON_FOREIGN_TC_INGRESS = 5,
	REASON_MULTICAST = 6,
	REASON_OTHER_PROTOCOL = 7,
	REASON_IPV6_NOT_MODELLED = 8,
	REASON_OTHER_HOST = 9,
	REASON_VLAN_TAG = 10,
	REASON_VLAN_OFFLOAD = 11,
	REASON_CHECKSUM_OFFLOAD = 12,
	REASON_MALFORMED = 13,
	REASON_IP_CHECKSUM = 14,
	REASON_IP_OPTIONS = 15,
	REASON_PADDING = 16,
	REASON_MARTIAN_SOURCE = 17,
	REASON_MARTIAN_DESTINATION = 18,
	REASON_OWN_SOURCE = 19,
	REASON_REVERSE_PATH = 20,
	REASON_LOCAL_DELIVERY = 21,
	REASON_FORWARDING_OFF = 22,
	REASON_NO_ROUTE = 23,
	REASON_ROUTE_TYPE = 24,
	REASON_ROUTE_REALMS = 25,
	REASON_POLICY_RULES = 26,
	REASON_MULTIPATH = 27,
	REASON_NEXT_HOP = 28,
	REASON_NEXT_HOP_EXCEPTION = 29,
	REASON_ENCAPSULATED_ROUTES = 30,
	REASON_IPSEC_POLICIES = 31,
	REASON_NETFILTER_HOOK = 32,
	REASON_TTL_EXPIRED = 33,
	REASON_REDIRECT_NEEDED = 34,
	REASON_MTU_EXCEEDED = 35,
	REASON_NEIGHBOUR = 36,
	REASON_EGRESS_DOWN = 37,
	REASON_EGRESS_DEVICE = 38,
	REASON_EGRESS_CANNOT_REDIRECT = 39,
	REASON_EGRESS_QDISC = 40,
	REASON_FOREIGN_TC_EGRESS = 41,
	REASON_NETFILTER_EGRESS = 42,
	REASON_INVALID_SOURCE_MAC = 43,
	REASON_PORT_NOT_FORWARDING = 44,
	REASON_BRIDGE_PORT_FLAG = 45,
	REASON_MULTIPLE_SPANNING_TREE = 46,
	REASON_BRIDGE_FILTER = 47,
	REASON_BRIDGE_NETFILTER = 48,
	REASON_SOURCE_UNKNOWN = 49,
	REASON_SOURCE_MOVED = 50,
	REASON_AGEING_REFRESH = 51,
	REASON_DESTINATION_UNKNOWN = 52,
	REASON_SAME_PORT = 53,
	REASON_ISOLATED_PORT = 54,
	REASON_VLAN_NOT_ALLOWED = 55,
	REASON_CHANGED = 56,
	REASON_VLAN_PROTOCOL = 57,
	REASON_VLAN_STATISTICS = 58,
	REASON_QINQ = 59,
	REASON_RULE_UNKNOWN = 60,
	REASON_RULE_EFFECT = 61,
	REASON_RULES_TOO_MANY = 62,
	REASON_RULES_MET = 63,
	REASON_LOCAL_ROUTES = 64,
	REASON_RULES_CHANGED = 65,
	REASON_FRAGMENT = 66,
	REASON_CONNECTION_NEW = 67,
	REASON_CONNECTION_STATE = 68,
	REASON_CONNECTION_WINDOW = 69,
	REASON_CONNECTION_EXTENSION = 70,
	REASON_CONNECTION_PROTOCOL = 71,
	REASON_CONNECTION_CHECKSUM = 72,
	REASON_NAT_EGRESS = 73,
	REASON_PACKET_MARK = 74,
};

/* How many functions stand on netfilter's hooks. */
#define IPV4_PREROUTING 0
#define IPV4_FORWARD 1
#define IPV4_POSTROUTING 0
#define BRIDGE_PREROUTING 0
#define BRIDGE_LOCAL_IN 0
#define BRIDGE_FORWARD 0
#define BRIDGE_LOCAL_OUT 0
#define BRIDGE_POSTROUTING 0
#define BRIDGE_CALLS_IPTABLES 0

#define BRIDGED_MEET_RULES 1

#define BRIDGED_ARE_JUDGED 0

/* What the rules look at, and how many there may be. */
#define JUDGES_RULES 1
#define FILTER_FIELDS 31
#define FILTER_SUMMARY 1
#define FILTER_SIZE 524288
#define FILTER_COUNTERS 1024
#define FILTER_CHECKS 0
#define FILTERS_VLANS 0

#define DEVICE_IS_VETH 0

#define BEHIND_VETH 0

#define ROUTER_CHECKS_PATH 0


#line 1 "tc-bridge-filter-router.c"
#include "tc.h"
#include "router.h"
#include "local.h"
#include "bridge.h"
#include "firewall.h"

/* A frame on a port of a bridge. GO_ON: it is for IP on the bridge. */
fp_inline outcome from_port(struct packet *packet, struct device device)
{
	outcome result = fp_bridge_decide(packet, device);
	if (result == FORWARD)
		return fp_tc_redirect(packet, device);
	if (result != GO_ON)
		return result;
	/* next_nf: router */
	result = fp_bridge_pass_up(packet);
	if (result != GO_ON)
		return result;
	/* brnf_get_logical_dev(): rules may be asked for the VLAN's device */
	if (BRIDGE_CALLS_IPTABLES && BRIDGED_MEET_RULES && packet->tagged &&
	    device_has_vlans(device_at(packet->network_device)))
		return REASON_BRIDGE_NETFILTER;
	return fp_parse_protocol(packet->protocol);
}

fp_inline outcome route(struct __sk_buff *context, struct packet *packet, struct device device,
			struct filter *filter)
{
	outcome result = fp_parse_ipv4(packet);
	if (result != GO_ON)
		return result;
	packet->segment = segment_of(context, packet);
	result = fp_router_decide(packet);
	if (result != FORWARD)
		return result;
	result = fp_firewall_judge(packet, filter);
	if (result != GO_ON)
		return result;
	if (device_is_bridge(device_at(packet->egress))) {
		/* next_nf: bridge */
		/* what it does not carry, the bridge's own device does */
		if (!network_has_taps(packet->network))
			fp_bridge_carry(packet);
	}
	return fp_tc_redirect(packet, device);
}

fp_inline outcome process(struct __sk_buff *context, struct packet *packet,
			  struct filter *filter)
{
	struct device device;
	outcome result = fp_tc_take(packet, context);
	if (result != GO_ON)
		return result;
	result = fp_parse_ethernet(packet);
	if (result != GO_ON)
		return result;
	result = fp_tc_enter(packet, &device);
	if (result != GO_ON)
		return result;
	result = from_port(packet, device);
	if (result != GO_ON)
		return result;
	return route(context, packet, device, filter);
}

SEC("tc") int fpd_tc(struct __sk_buff *context)
{
	struct packet packet = { 0 };
	const void *frame = (void *)(long)context->data;
	const void *end = (void *)(long)context->data_end;
	u64 device = fp_tc_device(context);
	outcome outcome = REASON_LOCAL_DELIVERY;
	struct filter filter;
	if (!fp_local_is_known(fp_local_key(frame, end), device) || fp_tc_is_asked(context)) {
		outcome = process(context, &packet, &filter);
		if (packet.is_own)
			fp_local_remember(fp_local_key((void *)(long)context->data,
						       (void *)(long)context->data_end),
					  fp_tc_device(context));
	}
	return fp_tc_finish(context, &packet, outcome);
}

char fp_license[] SEC("license") = "GPL";
