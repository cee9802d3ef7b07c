/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Connections, in the kernel's own table: nf_conntrack_in() for packets of which it does nothing but to note
 * that the connection is alive.
 *
 * Contract, Connection tracking: established and assured connections over TCP and UDP, of which nothing has to
 * be counted, rewritten or remembered for each packet; whatever begins, ends, or might not belong to one is
 * the kernel's. What the rest of the program has to know of an entry is copied while it is held.
 *
 * Included by the hook, which knows what it is asked with.
 */
#ifndef FPM_LIVE_CONNECTION_H
#define FPM_LIVE_CONNECTION_H

#include "../checksum.h"
#include "network.h"
#if JUDGES_RULES
#include "../filter.h"
#endif

enum {
	FRAGMENT = 0x3fff, /* more of them, or an offset */
	TCP_LEAST = 20,	   /* bytes of a header */
	UDP_LEAST = 8,
	TCP_SEQUENCE_PLACE = 4,
	TCP_LENGTH_PLACE = 12,
	TCP_FLAGS_PLACE = 13,
	TCP_WINDOW_PLACE = 14,
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
	UDP_LENGTH_PLACE = 4,
};

/* enum ip_conntrack_status */
enum {
	STATUS_EXPECTED = 1 << 0,
	STATUS_SEEN_REPLY = 1 << 1,
	STATUS_ASSURED = 1 << 2,
	STATUS_CONFIRMED = 1 << 3,
	STATUS_SRC_NAT = 1 << 4,
	STATUS_DST_NAT = 1 << 5,
	STATUS_SRC_NAT_DONE = 1 << 7,
	STATUS_DST_NAT_DONE = 1 << 8,
	STATUS_NAT = STATUS_SRC_NAT | STATUS_DST_NAT,
	STATUS_NAT_DONE = STATUS_SRC_NAT_DONE | STATUS_DST_NAT_DONE,
	STATUS_NEEDED = STATUS_SEEN_REPLY | STATUS_ASSURED | STATUS_CONFIRMED,
	STATUS_POSSIBLE = STATUS_NEEDED | STATUS_EXPECTED | STATUS_NAT | STATUS_NAT_DONE,
};
/* Where the status stands in SettledConnection of Sources/Rules, behind the direction. */
enum { SETTLED_EXPECTED = 1, SETTLED_NAT = 2, SETTLED_NAT_DONE = 4 };
enum { NAT_PLACE = 4, NAT_DONE_PLACE = 7 };

enum {
	TCP_ESTABLISHED = 3,	      /* TCP_CONNTRACK_ESTABLISHED */
	TCP_TIMEOUT_RETRANS = 12,     /* TCP_CONNTRACK_RETRANS */
	TCP_TIMEOUT_UNACK = 13,	      /* TCP_CONNTRACK_UNACK */
	TCP_STATES = 14,	      /* TCP_CONNTRACK_TIMEOUT_MAX */
	UDP_TIMEOUT_REPLIED = 1,      /* UDP_CT_REPLIED */
	TCP_LAST_SYN = 0,	      /* TCP_SYN_SET */
	TCP_LIBERAL = 0x08,	      /* IP_CT_TCP_FLAG_BE_LIBERAL */
	TCP_UNACKNOWLEDGED = 0x10,    /* IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED */
	TCP_ACKNOWLEDGES = 0x20,      /* IP_CT_TCP_FLAG_MAXACK_SET */
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

/*
 * What is known of a packet's connection. It is kept beside the stack, of which there is none to spare, and filled
 * by functions that are verified once, by themselves, instead of with all that comes behind each of their ends.
 */
struct connection {
	u64 network;   /* asked: the namespace, struct net, */
	u32 header;    /* where IPv4 begins in the frame, */
	u8 only_asks;  /* and whether nothing may change */
	u8 is_old;     /* its time is to be renewed */
	u8 is_watched; /* the kernel looks at its window */
	u8 translates; /* which addresses are others when it leaves */
	u8 transport;
	u32 source;	 /* what it leaves with, */
	u32 destination; /* and what it is routed by */
	u16 source_port;
	u16 destination_port;
	u32 mark;
	u32 masqueraded_for; /* the device it has to leave by; 0: any */
	u8 settled;	     /* CONNECTION_*, which are SettledConnection in Sources/Rules */
	u8 is_reset;
	u8 is_stale; /* the kernel waits for an acknowledgement that passed by here */
	u8 spare;
	u32 barrier;
	u32 stranger;		       /* why it is the kernel's if it is tracked; 0: it is not */
	struct connection_query query; /* what the kernel was asked */
#if JUDGES_RULES
	struct filter_key key; /* for firewall.h */
#endif
};
enum { TRANSLATES_SOURCE = 1, TRANSLATES_DESTINATION = 2 };

struct {
	map_number(type, 6); /* BPF_MAP_TYPE_PERCPU_ARRAY */
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, struct connection);
} fpd_connection SEC(".maps");

/* The entry, held; 0: there is none. */
fp_inline u64 find_connection(void *context, struct connection_query *query)
{
	register void *r1 asm("r1") = context;
	register void *r2 asm("r2") = &query->source;
	register u64 r3 asm("r3") = QUERY_TUPLE;
	register void *r4 asm("r4") = &query->network;
	register u64 r5 asm("r5") = QUERY_OPTIONS;
	register u64 found asm("r0");
	asm volatile(CALL_MODULE
		     : "=r"(found), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4), "+r"(r5)
		     : [module] "i"(KMODULE_bpf_ct_release), [function] "i"(KFUNC_connection_lookup)
		     : "memory");
	return found;
}

fp_inline void let_connection_go(u64 connection)
{
	register u64 r1 asm("r1") = connection;
	asm volatile(CALL_MODULE
		     : "+r"(r1)
		     : [module] "i"(KMODULE_bpf_ct_release), [function] "i"(KFUNC_bpf_ct_release)
		     : "r0", "r2", "r3", "r4", "r5", "memory");
}

fp_inline void set_timeout(u64 connection, u32 milliseconds)
{
	register u64 r1 asm("r1") = connection;
	register u64 r2 asm("r2") = milliseconds;
	asm volatile(
		CALL_MODULE
		: "+r"(r1), "+r"(r2)
		: [module] "i"(KMODULE_bpf_ct_release), [function] "i"(KFUNC_bpf_ct_change_timeout)
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
#if HAS_nf_conntrack_ecache_cache && HAS_nf_conntrack_ecache_missed
	u8 events = extension_at(extensions, NF_CT_EXT_ECACHE);
	if (!events)
		return 0;
	return live(extensions + events, nf_conntrack_ecache, cache) != 0 ||
	       live(extensions + events, nf_conntrack_ecache, missed) != 0;
#else
	return 0;
#endif
}

/* The header of TCP or UDP, as nf_conntrack_in() judges it where nothing is to be done. */
fp_inline outcome judge_transport(const struct packet *packet, struct connection *known, u32 length)
{
	known->is_reset = 0;
	const u8 *transport = (const u8 *)(packet->ipv4 + 1);
	if (packet->ipv4->protocol == TRANSPORT_UDP) {
		if (length < UDP_LEAST || (void *)(transport + UDP_LEAST) > packet->end)
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
	u8 flags = transport[TCP_FLAGS_PLACE];
	if ((flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK)
		return GO_ON;
	if (!CONNECTIONS_ASK || (flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_URG)) != TCP_RST)
		return REASON_CONNECTION_STATE;
	known->is_reset = 1;
	return GO_ON;
}

/* What is known of who sends in a direction, of a stream: struct ip_ct_tcp_state. */
#define SIDE(direction, member)                                                                    \
	(OFFSET(nf_conn, tcp_seen) + (direction)*SIZE_ip_ct_tcp_state +                            \
	 OFFSET(ip_ct_tcp_state, member))
fp_inline u8 flags_of_side(window entry, u32 direction)
{
	/* both are read: of a place that is one of two the verifier would have to know which */
	u8 first = (u8)word_at(entry, SIDE(0, flags)), second = (u8)word_at(entry, SIDE(1, flags));
	return direction ? second : first;
}

/* What the kernel knows of both sides of a stream. */
fp_inline u8 flags_of_both(window entry)
{
	return flags_of_side(entry, 0) & flags_of_side(entry, 1);
}

/* Whether the kernel does not look at the window: it has not seen what passed by here. */
fp_inline int is_liberal(struct network network, window entry)
{
	return flags_of_both(entry) & TCP_LIBERAL || of_network(network, tcp_be_liberal);
}

/*
 * Whether the kernel would take a reset for a stray: it compares its number with the highest that the other side has
 * acknowledged, and does not know what was acknowledged by here. The receiver is to judge.
 */
fp_inline int is_misjudged(const struct packet *packet, window entry, u32 direction)
{
	const u8 *transport = (const u8 *)(packet->ipv4 + 1);
	if ((void *)(transport + TCP_LEAST) > packet->end)
		return 0;
	u32 number = __builtin_bswap32(*(const u32 *)(transport + TCP_SEQUENCE_PLACE));
	u32 first = (u32)word_at(entry, SIDE(0, td_maxack));
	u32 second = (u32)word_at(entry, SIDE(1, td_maxack));
	u32 acknowledged = direction ? first : second;
	return seen(entry, nf_conn, tcp_last) != TCP_LAST_SYN && (s32)(number - acknowledged) < 0 &&
	       !of_network(network_at(packet->network), tcp_ignore_invalid_rst);
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
	/* data wait for an answer, a reset for the next segment; a closed window waits to be opened */
	if (transport[TCP_FLAGS_PLACE] & TCP_RST ||
	    length > (u32)(transport[TCP_LENGTH_PLACE] >> 4) * 4)
		shorter = live_u32(network, OFFSET(net, tcp_timeouts) + 4 * TCP_TIMEOUT_UNACK);
	else if (!*(const u16 *)(transport + TCP_WINDOW_PLACE))
		shorter = live_u32(network, OFFSET(net, tcp_timeouts) + 4 * TCP_TIMEOUT_RETRANS);
	return shorter < lifetime ? shorter : lifetime;
}

/* nf_nat_packet(): what the entry says of the addresses, where NAT's functions stand on the hooks. */
fp_inline void read_translation(struct connection *known, u64 connection, u32 direction, u64 status)
{
	/* of the answers to it: what comes from there goes to where this comes from */
	window answers = tuple_of(connection, !direction);
	if (status & (direction ? STATUS_SRC_NAT : STATUS_DST_NAT)) {
		known->translates |= TRANSLATES_DESTINATION;
		known->destination = seen(answers, nf_conntrack_tuple, source);
		known->destination_port = seen(answers, nf_conntrack_tuple, source_port);
	}
	if (status & (direction ? STATUS_DST_NAT : STATUS_SRC_NAT)) {
		known->translates |= TRANSLATES_SOURCE;
		known->source = seen(answers, nf_conntrack_tuple, destination);
		known->source_port = seen(answers, nf_conntrack_tuple, destination_port);
	}
}

/* nf_nat_oif_changed(): the device that a connection was masqueraded for. */
fp_inline u32 masqueraded_for(u64 extensions)
{
#if HAS_nf_conn_nat_masq_index
	u8 nat = extensions ? extension_at(extensions, NF_CT_EXT_NAT) : 0;
	return nat ? (u32)live(extensions + nat, nf_conn_nat, masq_index) : 0;
#else
	(void)extensions;
	return 0;
#endif
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

/*
 * __nf_ct_refresh_acct(), with a grace that spares writing for each packet: an entry lives never shorter than
 * without fpd, and longer by no more than that.
 */
fp_inline u32 grace_of(u32 lifetime)
{
	u32 grace = lifetime / 8;
	return grace > KERNEL_HZ / 4 ? KERNEL_HZ / 4 : grace;
}

fp_inline void renew(struct connection *known, u64 connection, u64 network, u32 lifetime)
{
	set_timeout(connection, (u32)((u64)(lifetime + grace_of(lifetime)) * 1000 / KERNEL_HZ));
	if (known->transport != TRANSPORT_TCP)
		return;
	/*
	 * The kernel sets the state before the time: who began to close meanwhile has what closing takes. The state is
	 * not to be read before the time is written.
	 */
	__sync_lock_test_and_set(&known->barrier, 1);
	u8 state = seen(look_again(connection), nf_conn, tcp_state);
	if (state == TCP_ESTABLISHED || state >= TCP_STATES)
		return;
	u32 closing = live_u32(network, OFFSET(net, tcp_timeouts) + 4 * state);
	set_timeout(connection, (u32)((u64)closing * 1000 / KERNEL_HZ));
}

#if CONNECTIONS_ASK
/*
 * Who asks for more than the kernel gives by itself: fpd has the kernel leave the window of this connection alone
 * (Sources/Datapath/ConnectionRequests.swift). One packet in so many asks: what is over soon is left alone. And fewer
 * of those where only a flag has become stale: it matters when the last packet of all is the kernel's.
 */
enum { REQUEST_SHARE = 16, REQUEST_SHARE_STALE = 256, REQUESTS_SIZE = 1 << 16 };
struct {
	map_number(type, MAP_RINGBUF);
	map_number(max_entries, REQUESTS_SIZE);
} fpd_requests SEC(".maps");

fp_inline void ask_for(struct connection *known, u32 share)
{
	if (!known->only_asks && bpf_get_prandom_u32() % share == 0)
		bpf_ringbuf_output(&fpd_requests, &known->query.source, QUERY_TUPLE, 0);
}
#endif

/* Judges the entry and notes what the rest of the program has to know of it. */
fp_inline outcome judge_entry(const struct packet *packet, struct connection *known, u64 connection,
			      u32 length)
{
	u32 direction = known->query.direction & 1;
	window entry = look(connection);
	u64 status = seen(entry, nf_conn, status);
	if ((status & STATUS_NEEDED) != STATUS_NEEDED || status & ~(u64)STATUS_POSSIBLE)
		return REASON_CONNECTION_STATE;
	if (known->transport == TRANSPORT_TCP && seen(entry, nf_conn, tcp_state) != TCP_ESTABLISHED)
		return REASON_CONNECTION_STATE;
	u64 extensions = (u64)seen(entry, nf_conn, ext);
	if (has_extensions(extensions))
		return REASON_CONNECTION_EXTENSION;
	known->is_watched = known->transport == TRANSPORT_TCP &&
			    !is_liberal(network_at(packet->network), entry);
	if (!CONNECTIONS_ASK && known->is_watched)
		return REASON_CONNECTION_WINDOW;
	/* any reset closes a connection of which the kernel has not seen both sides acknowledge */
	if (known->transport == TRANSPORT_TCP && !(flags_of_both(entry) & TCP_ACKNOWLEDGES))
		return REASON_CONNECTION_STATE;
	known->is_stale = CONNECTIONS_ASK && known->transport == TRANSPORT_TCP &&
			  (flags_of_side(entry, 0) | flags_of_side(entry, 1)) & TCP_UNACKNOWLEDGED;
	if (CONNECTIONS_ASK && known->is_reset &&
	    (known->is_watched || !is_misjudged(packet, entry, direction)))
		return REASON_CONNECTION_STATE;
	u32 lifetime = lifetime_of(packet, length);
	if (!lifetime || lifetime > TIMEOUT_LONGEST / 2 / 1000 * KERNEL_HZ)
		return REASON_CONNECTION_STATE;
	known->settled = (u8)(direction | (status & STATUS_EXPECTED) << SETTLED_EXPECTED |
			      (status & STATUS_NAT) >> NAT_PLACE << SETTLED_NAT |
			      (status & STATUS_NAT_DONE) >> NAT_DONE_PLACE << SETTLED_NAT_DONE);
#if HAS_nf_conn_mark
	known->mark = seen(entry, nf_conn, mark);
#endif
	known->masqueraded_for = 0;
	if (CONNECTIONS_TRANSLATE) {
		read_translation(known, connection, direction, status);
		if (!direction)
			known->masqueraded_for = masqueraded_for(extensions);
	}
	if (of_network(network_at(packet->network), ct_checksum)) {
		outcome result = judge_checksum(packet, length);
		if (result != GO_ON)
			return result;
	}
	u32 left = seen(entry, nf_conn, timeout) - (u32)bpf_jiffies64();
	known->is_old =
		(left - lifetime > grace_of(lifetime)) & !(known->only_asks | known->is_watched);
	if (known->is_old && CONNECTIONS_RENEW_AT_ONCE)
		renew(known, connection, packet->network, lifetime);
	return GO_ON;
}

/* The packet, as one of the functions that are verified by themselves has it at hand. */
fp_inline outcome take_again(CONTEXT *context, const struct connection *known,
			     struct packet *packet)
{
	void *data = (void *)(long)context->data;
	u32 header = FILTERS_VLANS ? known->header & HEADER_POSSIBLE : sizeof(struct ethernet);
	packet->context = context;
	packet->end = (void *)(long)context->data_end;
	packet->ipv4 = data + header;
	packet->network = known->network;
	return (void *)(packet->ipv4 + 1) > packet->end ? REASON_MALFORMED : GO_ON;
}

/* The kernel is asked by the packet as it came in. */
fp_inline void make_query(struct connection_query *query, const struct ipv4 *ipv4)
{
	const u16 *ports = (const u16 *)(ipv4 + 1);
	query->source = ipv4->source;
	query->destination = ipv4->destination;
	query->source_port = ports[0];
	query->destination_port = ports[1];
	query->network = NETWORK_OF_DEVICE;
	query->error = 0;
	query->protocol = ipv4->protocol;
	query->direction = 0;
	query->reserved[0] = query->reserved[1] = 0;
}

/* The packet is none of its connection's: nothing is renewed, noted or asked for. */
fp_inline void fp_connection_spare(struct connection *known)
{
	known->is_old = known->is_watched = known->is_stale = 0;
}

/* Finds a packet's connection: GO_ON if it is one that programs may carry on. A function of its own. */
__attribute__((noinline)) s32 fp_connection_find(CONTEXT *context, struct connection *known)
{
	struct packet packet = { 0 };
	if (!known || take_again(context, known, &packet) != GO_ON)
		return REASON_MALFORMED;
	if (fp_has_connection(&packet))
		return REASON_CONNECTION_STATE;
	if (packet.ipv4->fragment & network_order(FRAGMENT))
		return REASON_FRAGMENT;
	u32 length = network_order(packet.ipv4->total_length) - sizeof(*packet.ipv4);
	outcome result = judge_transport(&packet, known, length);
	if (result != GO_ON)
		return result;
	struct connection_query *query = &known->query;
	make_query(query, packet.ipv4);
	known->translates = 0;
	known->transport = query->protocol;
	known->source = query->source;
	known->destination = query->destination;
	known->source_port = query->source_port;
	known->destination_port = query->destination_port;
	u64 connection = find_connection(context, query);
	if (!connection)
		return REASON_CONNECTION_NEW;
	result = judge_entry(&packet, known, connection, length);
	let_connection_go(connection);
	return result;
}

/* What becomes of a packet decides whether the kernel would have renewed the time: it is looked up once more. */
__attribute__((noinline)) s32 fp_connection_renew(CONTEXT *context, struct connection *known)
{
	struct packet packet = { 0 };
	if (!known || take_again(context, known, &packet) != GO_ON)
		return 0;
	u32 length = network_order(packet.ipv4->total_length) - sizeof(*packet.ipv4);
	if (judge_transport(&packet, known, length) != GO_ON)
		return 0;
	make_query(&known->query, packet.ipv4);
	u64 connection = find_connection(context, &known->query);
	if (!connection)
		return 0;
	u32 lifetime = lifetime_of(&packet, length);
	if (seen(look(connection), nf_conn, status) & STATUS_ASSURED)
		renew(known, connection, packet.network, lifetime);
	let_connection_go(connection);
	return 1;
}

#if JUDGES_RULES && FILTER_UNTRACKS
/*
 * A packet that belongs to no connection that programs may carry. It is the kernel's, unless the rules before
 * connection tracking have it dropped or not tracked: then neither what the kernel has in its table matters, nor what
 * it would say to the packet's transport.
 */
fp_inline outcome fp_connection_without(struct packet *packet, struct connection *known,
					outcome reason)
{
	if (reason == REASON_FRAGMENT || fp_has_connection(packet))
		return reason;
	known->stranger = reason;
	known->settled = CONNECTION_NONE;
	fp_connection_spare(known);
	known->translates = 0;
	known->masqueraded_for = 0;
	known->mark = 0;
	/* it leaves with what it came with */
	const u16 *ports = (const u16 *)(packet->ipv4 + 1);
	known->source = packet->ipv4->source;
	known->destination = packet->ipv4->destination;
	known->source_port = known->destination_port = 0;
	if ((const void *)(ports + 2) <= packet->end) {
		known->source_port = ports[0];
		known->destination_port = ports[1];
	}
	return GO_ON;
}
#endif

/* GO_ON where `packet->connection` is known, and the packet belongs to it. */
fp_inline outcome fp_connection_ask(struct packet *packet, int only_asks)
{
	u32 first = 0;
	struct connection *known = bpf_map_lookup_elem(&fpd_connection, &first);
	if (!known)
		return REASON_CONNECTION_STATE;
	known->network = packet->network;
	known->header = packet->header;
	known->only_asks = only_asks != 0;
	packet->connection = known;
	outcome result = fp_connection_find(packet->context, known);
#if JUDGES_RULES && FILTER_UNTRACKS
	known->stranger = 0;
	if (result != GO_ON)
		return fp_connection_without(packet, known, result);
#endif
	return result;
}

/* nf_nat_oif_changed(): whether the connection may leave by the device that has turned out to send. */
fp_inline outcome fp_connection_leaves(const struct packet *packet)
{
	u32 device = CONNECTIONS_TRANSLATE ? packet->connection->masqueraded_for : 0;
	return !device || device == packet->egress_index ? FORWARD : REASON_NAT_EGRESS;
}

/* What would be forwarded, if only the kernel did not have to see it. */
fp_inline outcome fp_connection_is_seen(const struct packet *packet)
{
#if CONNECTIONS_ASK
	struct connection *known = packet->connection;
	if (known->is_watched) {
		ask_for(known, REQUEST_SHARE);
		return REASON_CONNECTION_WINDOW;
	}
	if (known->is_stale)
		ask_for(known, REQUEST_SHARE_STALE);
#else
	(void)packet;
#endif
	return FORWARD;
}

/* Where an IPv4 packet is routed to. */
fp_inline u32 fp_destination(const struct packet *packet)
{
	return packet->connection->destination;
}

#endif
