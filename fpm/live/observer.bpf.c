/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the kernel does with packets that programs in shadow mode have decided on.
 *
 * Tracepoints, attached to no device, so that nothing a program looks at is different with them:
 * net_dev_queue, where __dev_queue_xmit() has a packet for a device, behind netfilter's and tc's hooks on
 * egress and in front of the queue; kfree_skb, where a packet ends before its time; netif_receive_skb, which
 * tells that the kernel runs tracepoints at all where the packet is processed. A packet that was sent is
 * compared with its note at once. One that was freed may have been a copy, so its note waits, and fpd looks
 * through those that have waited for long.
 *
 * TCP segments that were decided on one by one may have been joined since (GRO): they are taken apart again
 * by their numbers, as tcp_gso_segment() would.
 */
#include "fingerprint.h"

enum {
	MAP_QUEUE = 22,
	DEVICE_ETHERNET = 1, /* ARPHRD_ETHER */
	ETHERNET_SIZE = 14,
	IPV4_SIZE = 20,
	PIECE_SIZE = SIGHT_RAW - ETHERNET_SIZE,
	NOT_SET = 0xffff, /* a header's offset */
	SEGMENTS_MAX = 64,
	KIND_SIZE = 8,
};

/* Where in the kernel a packet is seen. */
enum { QUEUED, FREED, RECEIVED, SWEEPING, PLACES };

/* What GRO keeps as it is in all the segments it joins: neither length, id nor checksum. */
#define JOINED_WORD_2 0xffffffff00000000ULL
#define JOINED_WORD_3 0xffffffffffff0000ULL
/* "bridge" and its end */
#define KIND_BRIDGE 0x0000656764697262ULL
#define KIND_MASK 0x00ffffffffffffffULL

struct from_kernel ns_common {
	u32 inum;
};
struct from_kernel net {
	struct ns_common ns;
};
typedef struct from_kernel {
	struct net *net;
} possible_net_t;
struct from_kernel rtnl_link_ops {
	const char *kind;
};
struct from_kernel net_device {
	s32 ifindex;
	u16 type;
	possible_net_t nd_net;
	struct rtnl_link_ops *rtnl_link_ops;
};
struct from_kernel skb_shared_info {
	u16 gso_size;
};
struct from_kernel sk_buff {
	struct net_device *dev;
	u32 len;
	u32 data_len;
	u32 end;
	u16 mac_header;
	u16 network_header;
	u16 protocol;
	u32 vlan_all;
	u8 *head;
	u8 *data;
};

struct {
	map_number(type, MAP_HASH);
	map_number(max_entries, RESULTS_MAX);
	map_type(key, u32);
	map_type(value, struct note_results);
} fpd_results SEC(".maps");

struct {
	map_number(type, MAP_QUEUE);
	map_number(max_entries, DIFFERENCES_MAX);
	map_type(value, struct difference);
} fpd_differences SEC(".maps");

/* What one program is at; one may interrupt the other. */
struct room {
	struct note_key key;
	struct sight sight;
	u8 raw[SIGHT_RAW];
	struct difference difference;
	struct net_device *device;
	u32 index;
	u32 place;
	u32 reason;
	u32 joined; /* bytes of TCP in each segment, where segments have been joined */
	u32 left;   /* of them, all segments together */
	u32 headers;
};
struct {
	map_number(type, MAP_PERCPU_ARRAY);
	map_number(max_entries, PLACES);
	map_type(key, u32);
	map_type(value, struct room);
} fpd_rooms SEC(".maps");

struct {
	u32 wanted;  /* the namespace's inode number */
	u32 waiting; /* packets whose notes are younger than `oldest`, or have yet to be told */
	u64 oldest;
	struct net *known;
} area;

static const struct note_results none;

fp_inline struct note_results *results_of(u32 interface)
{
	struct note_results *results = bpf_map_lookup_elem(&fpd_results, &interface);
	if (results)
		return results;
	bpf_map_update_elem(&fpd_results, &interface, &none, 1 /* BPF_NOEXIST */);
	return bpf_map_lookup_elem(&fpd_results, &interface);
}

fp_inline int is_bridge(struct net_device *device)
{
	u64 kind = 0;
	struct rtnl_link_ops *ops = kernel_get(device->rtnl_link_ops);
	if (!ops)
		return 0;
	bpf_probe_read_kernel(&kind, KIND_SIZE, kernel_get(ops->kind));
	return (kind & KIND_MASK) == KIND_BRIDGE;
}

fp_inline int are_headers_equal(const u64 *decided, const u64 *sent, int joined)
{
	u64 second = decided[2] ^ sent[2], third = decided[3] ^ sent[3];
	if (joined) {
		second &= JOINED_WORD_2;
		third &= JOINED_WORD_3;
	}
	return decided[0] == sent[0] && decided[1] == sent[1] && !second && !third &&
	       decided[4] == sent[4];
}

/* One packet of the note is done with. */
fp_inline void conclude(struct note *note, const struct note_key *key)
{
	if (__sync_fetch_and_add(&note->waiting, -1) <= 1)
		bpf_map_delete_elem(&fpd_notes, key);
}

fp_inline void tell(struct room *room, const struct note *note, u32 kind)
{
	struct difference *difference = &room->difference;
	__builtin_memcpy(&difference->note, note, sizeof(*note));
	difference->time = bpf_ktime_get_ns();
	difference->kind = kind;
	difference->egress = room->index;
	difference->length = room->sight.length;
	difference->tag = room->sight.tag;
	fp_headers(difference->headers, &room->sight);
	bpf_map_push_elem(&fpd_differences, difference, 0);
}

/* What the kernel did with the packet in the room, which is known by the room's key. */
fp_inline void settle(struct room *room, struct note *note, int joined)
{
	u32 kind = DIFFERENCE_KINDS;
	if (room->place == RECEIVED) {
		note->arrived = 1;
		return;
	}
	if (room->place == FREED) {
		if (note->verdict == NOTE_FORWARD) {
			note->freed_reason = room->reason;
			note->freed_on = room->index;
			note->freed = 1;
			return;
		}
	} else if (note->verdict == NOTE_DROP) {
		kind = DIFFERS_SENT;
	} else if (note->egress != room->index) {
		/* what is routed into a bridge comes by once more, for the port */
		if (is_bridge(room->device))
			return;
		kind = DIFFERS_DEVICE;
	} else {
		fp_headers(room->difference.headers, &room->sight);
		if (note->tag != room->sight.tag ||
		    (!joined && note->length != room->sight.length) ||
		    !are_headers_equal(note->headers, room->difference.headers, joined))
			kind = DIFFERS_BYTES;
	}
	struct note_results *results = results_of(note->ingress);
	if (results) {
		if (note->mixed) {
			__sync_fetch_and_add(&results->mixed, 1);
		} else if (kind < DIFFERENCE_KINDS) {
			__sync_fetch_and_add(&results->differences[kind], 1);
			tell(room, note, kind);
		} else {
			__sync_fetch_and_add(&results->agreed, 1);
		}
	}
	conclude(note, &room->key);
}

fp_inline u32 swapped(u32 number)
{
	return __builtin_bswap32(number);
}

/* The key of the segment that begins `number` segments behind the first, by its id or the first one's. */
fp_inline void key_of_segment(struct room *room, u32 number, int counts_ids)
{
	const u64 *words = room->sight.words;
	u32 size = room->left < room->joined ? room->left : room->joined;
	u16 length = __builtin_bswap16((u16)(room->headers + size));
	u16 id = __builtin_bswap16((u16)(words[2] >> 16));
	u64 changed = length | (u64)__builtin_bswap16((u16)(id + (counts_ids ? number : 0))) << 16;
	u64 ports = words[4] >> 16 | words[5] << 48;
	u32 sequence = swapped((u32)(ports >> 32)) + number * room->joined;
	room->key.words[1] = (words[2] & ~TTL_MASK & JOINED_WORD_2) | changed;
	room->key.words[2] = (u32)ports | (u64)swapped(sequence) << 32;
}

static long settle_segment(u32 number, u32 *place)
{
	struct room *room = bpf_map_lookup_elem(&fpd_rooms, place);
	if (!room || !room->left)
		return 1;
	key_of_segment(room, number, 1);
	struct note *note = bpf_map_lookup_elem(&fpd_notes, &room->key);
	if (!note) {
		key_of_segment(room, number, 0);
		note = bpf_map_lookup_elem(&fpd_notes, &room->key);
	}
	if (note)
		settle(room, note, 1);
	room->left -= room->left < room->joined ? room->left : room->joined;
	return 0;
}

/* Whether the packet is of many segments, each of which may have a note. */
fp_inline int is_joined(struct room *room, struct sk_buff *skb)
{
	struct skb_shared_info *info = (void *)(kernel_get(skb->head) + kernel_get(skb->end));
	room->joined = kernel_get(info->gso_size);
	if (!room->joined || !fp_is_ipv4(&room->sight) ||
	    fp_transport_of(&room->sight) != SIGHT_TCP)
		return 0;
	/* the header's length, in words, is behind the numbers */
	u32 transport = (u32)(room->sight.words[5] >> 52 & 15) * 4;
	room->headers = IPV4_SIZE + transport;
	if (room->sight.length <= ETHERNET_SIZE + room->headers)
		return 0;
	room->left = room->sight.length - ETHERNET_SIZE - room->headers;
	return 1;
}

/* The frame's first bytes, whatever layer the kernel was at. */
fp_inline int read_frame(struct room *room, struct sk_buff *skb)
{
	u8 *data = kernel_get(skb->data), *head = kernel_get(skb->head), *from = data;
	u32 length = kernel_get(skb->len), pieces = kernel_get(skb->data_len);
	u8 *end = data + (length - pieces);
	u16 protocol = kernel_get(skb->protocol), link = kernel_get(skb->mac_header);
	u16 network = kernel_get(skb->network_header);
	u32 ahead = 0;
	if (room->place == RECEIVED) {
		/* the network's header is yet to be found */
		if (link == NOT_SET)
			return 0;
		from = head + link;
	} else if (room->place == FREED || kernel_get(room->device->type) != DEVICE_ETHERNET) {
		if (protocol == SIGHT_IPV4 || link == NOT_SET) {
			from = head + network;
			ahead = ETHERNET_SIZE;
		} else {
			from = head + link;
		}
	}
	s64 seen = end - from;
	if (seen <= 0)
		return 0;
	u32 size = seen < PIECE_SIZE ? (u32)seen : PIECE_SIZE;
	asm volatile("" : "+r"(size));
	if (size > PIECE_SIZE)
		return 0; /* for the verifier */
	__builtin_memset(room->raw, 0, SIGHT_RAW);
	if (ahead) {
		if (bpf_probe_read_kernel(room->raw + ETHERNET_SIZE, size, from))
			return 0;
		room->raw[12] = (u8)protocol;
		room->raw[13] = (u8)(protocol >> 8);
	} else if (bpf_probe_read_kernel(room->raw, size, from)) {
		return 0;
	}
	u32 tag = kernel_get(skb->vlan_all);
	/* behind the tag's protocol */
	u32 beside = tag ? NOTE_TAGGED | tag >> 16 : 0;
	fp_see(&room->sight, room->raw, (u32)(seen + pieces) + ahead, beside);
	return 1;
}

fp_inline int is_ours(struct net_device *device)
{
	struct net *net = kernel_get(device->nd_net.net);
	if (area.known)
		return net == area.known;
	if (!net || kernel_get(net->ns.inum) != area.wanted)
		return 0;
	area.known = net;
	return 1;
}

/* To the program on TC that comes next. */
fp_inline void tell_arrival(struct sk_buff *skb)
{
	u32 first = 0;
	u64 *arrival = bpf_map_lookup_elem(&fpd_arrival, &first);
	if (arrival)
		*arrival = (u64)skb;
}

fp_inline int observe(struct sk_buff *skb, u32 place, u32 reason)
{
	struct net_device *device = kernel_get(skb->dev);
	if (!device || !is_ours(device))
		return 0;
	struct room *room = bpf_map_lookup_elem(&fpd_rooms, &place);
	if (!room)
		return 0;
	if (place == RECEIVED)
		tell_arrival(skb);
	room->device = device;
	room->index = (u32)kernel_get(device->ifindex);
	room->place = place;
	room->reason = reason;
	if (!read_frame(room, skb))
		return 0;
	fp_fingerprint(&room->key, &room->sight);
	struct note *note = bpf_map_lookup_elem(&fpd_notes, &room->key);
	if (note)
		settle(room, note, 0);
	else if (is_joined(room, skb))
		bpf_loop(SEGMENTS_MAX, settle_segment, &place, 0);
	return 0;
}

SEC("raw_tp/net_dev_queue") int fpd_sent(u64 *arguments)
{
	return observe((struct sk_buff *)arguments[0], QUEUED, 0);
}

SEC("raw_tp/netif_receive_skb") int fpd_received(u64 *arguments)
{
	return observe((struct sk_buff *)arguments[0], RECEIVED, 0);
}

SEC("raw_tp/kfree_skb") int fpd_freed(u64 *arguments)
{
	return observe((struct sk_buff *)arguments[0], FREED, (u32)arguments[2]);
}

static long sweep(void *map, const struct note_key *key, struct note *note, void *context)
{
	(void)context;
	if (note->time >= area.oldest) {
		area.waiting += note->waiting;
		return 0;
	}
	u32 place = SWEEPING;
	struct room *room = bpf_map_lookup_elem(&fpd_rooms, &place);
	if (!room)
		return 1;
	__builtin_memcpy(&room->difference.note, note, sizeof(*note));
	room->difference.time = bpf_ktime_get_ns();
	room->difference.kind = DIFFERS_GONE;
	if (room->difference.note.waiting &&
	    bpf_map_push_elem(&fpd_differences, &room->difference, 0)) {
		area.waiting += note->waiting; /* for the next time */
		return 0;
	}
	bpf_map_delete_elem(map, key);
	return 0;
}

/*
 * Takes out the notes that have waited for too long: here, and not by two system calls for each note.
 */
SEC("syscall") int fpd_sweep(void *context)
{
	(void)context;
	area.waiting = 0;
	bpf_for_each_map_elem(&fpd_notes, sweep, 0, 0);
	return 0;
}

char fp_license[] SEC("license") = "GPL";
