/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A network namespace, live: its IPv4 settings and those of its devices.
 */
#ifndef FPM_LIVE_NETWORK_H
#define FPM_LIVE_NETWORK_H

#include "../packet.h"

/* struct net is large: what IPv4 has in it begins with devconf_all. */
struct network {
	u64 address;
	window ipv4;
};

fp_inline struct network network_at(u64 address)
{
	struct network network = {
		.address = address,
		.ipv4 = look(address + OFFSET(net, devconf_all) / WORD * WORD),
	};
	return network;
}

#define of_network(network, member)                                                                \
	(in_window(net, devconf_all, member)                                                       \
		 ? (MEMBER(net, member))word_at((network).ipv4,                                    \
						OFFSET(net, member) -                              \
							OFFSET(net, devconf_all) / WORD * WORD)    \
		 : live((network).address, net, member))

/* The numbers of /proc/sys/net/ipv4/conf/DEVICE/: places are those of IPV4_DEVCONF_*, less one. */
enum {
	CONF_FORWARDING = 0,
	CONF_ACCEPT_REDIRECTS = 3,
	CONF_SEND_REDIRECTS = 5,
	CONF_RP_FILTER = 7,
	CONF_ACCEPT_LOCAL = 22,
};

/* A device's settings, and those of "all". */
struct settings {
	window own;
	window all;
};

fp_inline struct settings settings_of(struct network network, u64 in_device)
{
	u64 all = (u64)of_network(network, devconf_all);
	struct settings settings = {
		.own = look(in_device + OFFSET(in_device, cnf) / WORD * WORD),
		.all = look(all + OFFSET(ipv4_devconf, data) / WORD * WORD),
	};
	return settings;
}

fp_inline s32 conf_of_device(struct settings settings, u32 place)
{
	return (s32)word_at(settings.own, OFFSET(in_device, cnf) % WORD + 4 * place);
}

fp_inline s32 conf_of_all(struct settings settings, u32 place)
{
	return (s32)word_at(settings.all, OFFSET(ipv4_devconf, data) % WORD + 4 * place);
}

/* IN_DEV_ORCONF() */
fp_inline s32 conf_of_either(struct settings settings, u32 place)
{
	return conf_of_device(settings, place) | conf_of_all(settings, place);
}

#endif
