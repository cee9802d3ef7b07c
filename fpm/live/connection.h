/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Connections, in the kernel's own table: nf_conntrack_in() for packets of which it does nothing but to note
 * that the connection is alive.
 *
 * Contract, Connection tracking: established and assured connections over TCP and UDP, of which nothing has to
 * be counted, rewritten or remembered for each packet; whatever begins, ends, or might not belong to one is
 * the kernel's. An entry is held from here until the packet is done with: see fp_connection_release().
 */
#ifndef FPM_LIVE_CONNECTION_H
#define FPM_LIVE_CONNECTION_H

#include "../checksum.h"
#include "network.h"

enum {
	FRAGMENT = 0x3fff, /* more of them, or an offset */
	TCP_LEAST = 20,	   /* bytes of a header */
	UDP_LEAST = 8,
	TCP_LENGTH_PLACE = 12,
	TCP_FLAGS_PLACE = 13,
	TCP_WINDOW_PLACE = 14,
	TCP_FIN_SYN_RST = 0x07,
	TCP_ACK = 0x10,
	UDP_LENGTH_PLACE = 4,
};

/* enum ip_conntrack_status */
enum {
	STATUS_SEEN_REPLY = 1 << 1,
	STATUS_ASSURED = 1 << 2,
	STATUS_CONFIRMED = 1 << 3,
	STATUS_SRC_NAT = 1 << 4,
	STATUS_DST_NAT = 1 << 5,
	STATUS_NEEDED = STATUS_SEEN_REPLY | STATUS_ASSURED | STATUS_CONFIRMED,
	/* EXPECTED, both kinds of NAT and that they are set up */
	STATUS_POSSIBLE = STATUS_NEEDED | 1 | STATUS_SRC_NAT | STATUS_DST_NAT | 1 << 7 | 1 << 8,
};

enum {
	TCP_ESTABLISHED = 3,	      /* TCP_CONNTRACK_ESTABLISHED */
	TCP_TIMEOUT_RETRANS = 12,     /* TCP_CONNTRACK_RETRANS */
	TCP_TIMEOUT_UNACK = 13,	      /* TCP_CONNTRACK_UNACK */
	TCP_STATES = 14,	      /* TCP_CONNTRACK_TIMEOUT_MAX */
	UDP_TIMEOUT_REPLIED = 1,      /* UDP_CT_REPLIED */
	TCP_LIBERAL = 0x08,	      /* IP_CT_TCP_FLAG_BE_LIBERAL */
	TIMEOUT_LONGEST = 0x7fffffff, /* in ms, which the kernel takes for what it is */
};

/* What the kernel's functions are asked with: struct bpf_sock_tuple and struct bpf_ct_opts, the first of it. */
struct connection_query {
	u32 source;
	u32 destination;
	u16 source_port;
	u16 destination_port;
	s32 network;
	s32 error;
	u8 protocol;
	u8 direction; /* an answer: 1 for what answers who began */
	u8 reserved[2];
};
enum { QUERY_TUPLE = 12, QUERY_OPTIONS = 12, NETWORK_OF_DEVICE = -1 };

/* The entry, held; 0: there is none. */
fp_inline u64 find_connection(void *context, struct connection_query *query)
{
	register void *r1 asm("r1") = context;
	register void *r2 asm("r2") = &query->source;
	register u64 r3 asm("r3") = QUERY_TUPLE;
	register void *r4 asm("r4") = &query->network;
	register u64 r5 asm("r5") = QUERY_OPTIONS;
	register u64 found asm("r0");
	asm volatile(CALL_KERNEL
		     : "=r"(found), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4), "+r"(r5)
		     : [function] "i"(KFUNC_connection_lookup)
		     : "memory");
	return found;
}

fp_inline void let_connection_go(u64 connection)
{
	register u64 r1 asm("r1") = connection;
	asm volatile(CALL_KERNEL
		     : "+r"(r1)
		     : [function] "i"(KFUNC_bpf_ct_release)
		     : "r0", "r2", "r3", "r4", "r5", "memory");
}

fp_inline void set_timeout(u64 connection, u32 milliseconds)
{
	register u64 r1 asm("r1") = connection;
	register u64 r2 asm("r2") = milliseconds;
	asm volatile(CALL_KERNEL
		     : "+r"(r1), "+r"(r2)
		     : [function] "i"(KFUNC_bpf_ct_change_timeout)
		     : "r0", "r3", "r4", "r5", "memory");
}

/* A look that is not the one from before. */
fp_inline window look_again(u64 address)
{
	asm volatile("" : "+r"(address)::"memory");
	return look(address);
}

/* ---- what it says ---- */

/* A tuple of an entry, 0: of who began. The verifier has to see that the place is one of two. */
fp_inline window tuple_of(u64 connection, u32 direction)
{
	connection += OFFSET(nf_conn, tuplehash) + OFFSET(nf_conntrack_tuple_hash, tuple);
	if (direction)
		asm volatile("%[at] += %[size]"
			     : [at] "+r"(connection)
			     : [size] "i"(SIZE_nf_conntrack_tuple_hash));
	return look(connection);
}

#define EXTENSION_BIT(name, word)                                                                  \
	(ENUM_##name >= 0 && ENUM_##name / WORD == (word) ? 0xffULL << ENUM_##name % WORD * 8 : 0)
/*
 * Those for which the kernel does something with each packet. Entries that somebody wrote into the table have room
 * for sequence numbers to be adjusted; that they are is a bit of the status.
 */
#define EXTENSIONS_FORBIDDEN(word)                                                                 \
	(EXTENSION_BIT(NF_CT_EXT_HELPER, word) | EXTENSION_BIT(NF_CT_EXT_ACCT, word) |             \
	 EXTENSION_BIT(NF_CT_EXT_TIMEOUT, word) | EXTENSION_BIT(NF_CT_EXT_ACT_CT, word))

/* The place of an extension; 0: there is none. */
#define extension_at(extensions, name)                                                             \
	(ENUM_##name >= 0 ? live_u8(extensions, OFFSET(nf_ct_ext, offset) +                        \
							(ENUM_##name >= 0 ? ENUM_##name : 0))      \
			  : 0)

/* Whether the kernel would note or tell something of each packet, or change it. */
fp_inline int has_extensions(u64 extensions)
{
	if (!extensions)
		return 0;
	window offsets = look(extensions + OFFSET(nf_ct_ext, offset));
	if (offsets[0] & EXTENSIONS_FORBIDDEN(0))
		return 1;
	if (EXTENSIONS_FORBIDDEN(1) && offsets[1] & EXTENSIONS_FORBIDDEN(1))
		return 1;
	/* events that could not be told yet are told with the next packet */
	u8 events = extension_at(extensions, NF_CT_EXT_ECACHE);
	if (!events)
		return 0;
	return live(extensions + events, nf_conntrack_ecache, cache) != 0 ||
	       live(extensions + events, nf_conntrack_ecache, missed) != 0;
}

/* The header of TCP or UDP, as nf_conntrack_in() judges it where nothing is to be done. */
fp_inline outcome judge_transport(const struct packet *packet, u32 length)
{
	const u8 *transport = (const u8 *)(packet->ipv4 + 1);
	if (packet->ipv4->protocol == TRANSPORT_UDP) {
		if ((void *)(transport + UDP_LEAST) > packet->end)
			return REASON_MALFORMED;
		if (network_order(*(const u16 *)(transport + UDP_LENGTH_PLACE)) != length)
			return REASON_MALFORMED;
		return GO_ON;
	}
	if (packet->ipv4->protocol != TRANSPORT_TCP)
		return REASON_CONNECTION_PROTOCOL;
	if ((void *)(transport + TCP_LEAST) > packet->end)
		return REASON_MALFORMED;
	u32 header = (transport[TCP_LENGTH_PLACE] >> 4) * 4;
	if (header < TCP_LEAST || header > length)
		return REASON_MALFORMED;
	if ((transport[TCP_FLAGS_PLACE] & (TCP_FIN_SYN_RST | TCP_ACK)) != TCP_ACK)
		return REASON_CONNECTION_STATE;
	return GO_ON;
}

/* Whether the kernel does not look at the window: it has not seen what passed by here. */
fp_inline int is_liberal(struct network network, window entry)
{
	u64 flags = OFFSET(nf_conn, tcp_seen) + OFFSET(ip_ct_tcp_state, flags);
	u8 both = (u8)(word_at(entry, flags) & word_at(entry, flags + SIZE_ip_ct_tcp_state));
	return both & TCP_LIBERAL || of_network(network, tcp_be_liberal);
}

/* What the kernel would have the entry live for from now on, in its ticks. */
fp_inline u32 lifetime_of(const struct packet *packet, u32 length)
{
	u64 network = packet->network;
	if (packet->ipv4->protocol == TRANSPORT_UDP)
		return live_u32(network, OFFSET(net, udp_timeouts) + 4 * UDP_TIMEOUT_REPLIED);
	const u8 *transport = (const u8 *)(packet->ipv4 + 1);
	if ((void *)(transport + TCP_LEAST) > packet->end)
		return 0;
	u32 lifetime = live_u32(network, OFFSET(net, tcp_timeouts) + 4 * TCP_ESTABLISHED);
	u32 shorter = lifetime;
	/* data wait for an answer; a closed window waits to be opened */
	if (length > (u32)(transport[TCP_LENGTH_PLACE] >> 4) * 4)
		shorter = live_u32(network, OFFSET(net, tcp_timeouts) + 4 * TCP_TIMEOUT_UNACK);
	else if (!*(const u16 *)(transport + TCP_WINDOW_PLACE))
		shorter = live_u32(network, OFFSET(net, tcp_timeouts) + 4 * TCP_TIMEOUT_RETRANS);
	return shorter < lifetime ? shorter : lifetime;
}

/* nf_nat_packet(): what the entry says of the addresses, where NAT's functions stand on the hooks. */
fp_inline void read_translation(struct packet *packet, u64 connection, u32 direction, u64 status)
{
	/* of the answers to it: what comes from there goes to where this comes from */
	window answers = tuple_of(connection, !direction);
	if (status & (direction ? STATUS_SRC_NAT : STATUS_DST_NAT)) {
		packet->translates |= TRANSLATES_DESTINATION;
		packet->destination = seen(answers, nf_conntrack_tuple, source);
		packet->destination_port = seen(answers, nf_conntrack_tuple, source_port);
	}
	if (status & (direction ? STATUS_DST_NAT : STATUS_SRC_NAT)) {
		packet->translates |= TRANSLATES_SOURCE;
		packet->source = seen(answers, nf_conntrack_tuple, destination);
		packet->source_port = seen(answers, nf_conntrack_tuple, destination_port);
	}
}

/* nf_ip_checksum(): what is not right, or cannot be told here, is the kernel's. */
fp_inline outcome judge_checksum(const struct packet *packet, u32 length)
{
	const struct ipv4 *ipv4 = packet->ipv4;
	if (ipv4->protocol == TRANSPORT_UDP) {
		const u16 *sum = (const void *)(ipv4 + 1) + UDP_SUM_PLACE;
		if ((const void *)(sum + 1) > packet->end)
			return REASON_MALFORMED;
		if (!*sum)
			return GO_ON;
	}
	u64 pseudo = (u64)ipv4->source + ipv4->destination + network_order(length) +
		     network_order((u32)ipv4->protocol);
	if (fp_sum_is_known(packet, pseudo) || folded(sum_of(packet, length, pseudo)) == 0xffff)
		return GO_ON;
	return REASON_CONNECTION_CHECKSUM;
}

/* Finds the packet's connection and holds it; changes nothing. */
fp_inline outcome fp_connection_find(struct packet *packet)
{
	const struct ipv4 *ipv4 = packet->ipv4;
	struct network network = network_at(packet->network);
	if (fp_has_connection(packet))
		return REASON_CONNECTION_STATE;
	if (ipv4->fragment & network_order(FRAGMENT))
		return REASON_FRAGMENT;
	u32 length = network_order(ipv4->total_length) - sizeof(*ipv4);
	outcome result = judge_transport(packet, length);
	if (result != GO_ON)
		return result;
	const u16 *ports = (const u16 *)(ipv4 + 1);
	packet->source = ipv4->source;
	packet->destination = ipv4->destination;
	packet->source_port = ports[0];
	packet->destination_port = ports[1];
	struct connection_query query = {
		.source = ipv4->source,
		.destination = ipv4->destination,
		.source_port = ports[0],
		.destination_port = ports[1],
		.network = NETWORK_OF_DEVICE,
		.protocol = ipv4->protocol,
	};
	u64 connection = find_connection(packet->context, &query);
	if (!connection)
		return REASON_CONNECTION_NEW;
	packet->connection = connection;

	window entry = look(connection);
	u64 status = seen(entry, nf_conn, status);
	if ((status & STATUS_NEEDED) != STATUS_NEEDED || status & ~(u64)STATUS_POSSIBLE)
		return REASON_CONNECTION_STATE;
	if (ipv4->protocol == TRANSPORT_TCP) {
		if (seen(entry, nf_conn, tcp_state) != TCP_ESTABLISHED)
			return REASON_CONNECTION_STATE;
		if (!is_liberal(network, entry))
			return REASON_CONNECTION_WINDOW;
	}
	if (has_extensions((u64)seen(entry, nf_conn, ext)))
		return REASON_CONNECTION_EXTENSION;
	u32 lifetime = lifetime_of(packet, length);
	if (!lifetime || lifetime > TIMEOUT_LONGEST / 2 / 1000 * KERNEL_HZ)
		return REASON_CONNECTION_STATE;
	packet->lifetime = lifetime;
	packet->transport = ipv4->protocol;
	packet->reply = query.direction & 1;
	if (CONNECTIONS_TRANSLATE)
		read_translation(packet, connection, packet->reply, status);
	if (of_network(network, ct_checksum))
		return judge_checksum(packet, length);
	return GO_ON;
}

/* nf_nat_oif_changed(): what was masqueraded for a device that it does not leave by any more. */
fp_inline outcome fp_connection_leaves(const struct packet *packet)
{
	if (!CONNECTIONS_TRANSLATE || packet->reply)
		return FORWARD;
	u64 extensions = (u64)live(packet->connection, nf_conn, ext);
	if (!extensions)
		return FORWARD;
	u8 nat = extension_at(extensions, NF_CT_EXT_NAT);
	if (!nat)
		return FORWARD;
	s32 device = live(extensions + nat, nf_conn_nat, masq_index);
	return !device || (u32)device == packet->egress_index ? FORWARD : REASON_NAT_EGRESS;
}

/*
 * __nf_ct_refresh_acct(), with a grace that spares writing for each packet: an entry lives never shorter than
 * without fpd, and longer by no more than that.
 */
fp_inline void fp_connection_refresh(const struct packet *packet)
{
	u32 wanted = packet->lifetime;
	u32 grace = wanted / 8;
	if (grace > KERNEL_HZ / 4)
		grace = KERNEL_HZ / 4;
	u32 left = live(packet->connection, nf_conn, timeout) - (u32)bpf_jiffies64();
	if (left - wanted <= grace)
		return;
	set_timeout(packet->connection, (u32)((u64)(wanted + grace) * 1000 / KERNEL_HZ));
	if (packet->transport != TRANSPORT_TCP)
		return;
	/* The kernel sets the state before the time: who began to close meanwhile has what closing takes. */
	u8 state = seen(look_again(packet->connection), nf_conn, tcp_state);
	if (state == TCP_ESTABLISHED || state >= TCP_STATES)
		return;
	u32 closing = live_u32(packet->network, OFFSET(net, tcp_timeouts) + 4 * state);
	set_timeout(packet->connection, (u32)((u64)closing * 1000 / KERNEL_HZ));
}

fp_inline void fp_connection_release(struct packet *packet)
{
	if (packet->connection)
		let_connection_go(packet->connection);
}

#endif
