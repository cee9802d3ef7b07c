/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's netlink constants and libmnl's sockets. */
#ifndef FPD_CNETLINK_H
#define FPD_CNETLINK_H

/* before the kernel's own definitions of the same structures, which then stand back */
#include <netinet/in.h>

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/fib_rules.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/netfilter.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/packet_diag.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/veth.h>
#include <stdint.h>
#include <sys/socket.h>

/* linux/xfrm.h defines structures that clash with the C library's in one module. */
enum {
	FPD_XFRM_MSG_NEWPOLICY = 0x13,
	FPD_XFRM_MSG_GETPOLICY = 0x15,
	FPD_XFRM_MSG_GETDEFAULT = 0x28,
	FPD_XFRM_GROUP_POLICY = 4,
	FPD_XFRM_POLICY_ID_SIZE = 64, /* sizeof(struct xfrm_userpolicy_id) */
	FPD_XFRM_DEFAULT_SIZE = 3,    /* sizeof(struct xfrm_userpolicy_default): in, fwd, out */
	FPD_XFRM_BLOCK = 1,	      /* XFRM_USERPOLICY_BLOCK */
};

#endif
