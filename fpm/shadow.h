/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Shadow mode: what was decided is noted instead of done. Every packet goes to the kernel as it came, and
 * what the kernel does with it is compared with the note (live/observer.bpf.c).
 *
 * Notes are in a map of fixed size. When nobody takes them out any more, because fpd was killed, it fills up
 * and nothing else happens.
 */
#ifndef FPM_SHADOW_H
#define FPM_SHADOW_H

#include "live/fingerprint.h"
#include "packet.h"

/* Where decisions are counted, apart from what was done. */
enum {
	SHADOW_FORWARDED = COUNTERS - 2,
	SHADOW_DROPPED = COUNTERS - 3,
	SHADOW_UNNOTED = COUNTERS - 4, /* one of these that cannot be compared */
};

enum { ONLY_NEW = 1 /* BPF_NOEXIST */ };

struct shadow_room {
	struct note_key key;
	struct sight sight;
	struct note note;
};

/* Too large for the stack. */
struct {
	map_number(type, MAP_PERCPU_ARRAY);
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, struct shadow_room);
} fpd_shadow SEC(".maps");

fp_inline struct shadow_room *fp_shadow_room(void)
{
	u32 first = 0;
	struct shadow_room *room = bpf_map_lookup_elem(&fpd_shadow, &first);
	if (!room)
		return 0;
	__builtin_memset(room->note.frame, 0, SIGHT_RAW);
	return room;
}

/* How much of the frame is kept, as the verifier sees it too. */
fp_inline u32 fp_shadow_size(u32 length)
{
	u64 size = length < NOTE_FRAME_MAX ? length : NOTE_FRAME_MAX;
	asm volatile("" : "+r"(size));
	return size <= NOTE_FRAME_MAX ? size : 0;
}

/* The headers as fp_xdp_rewrite() and fp_tc_rewrite() would make them. */
fp_inline void fp_shadow_rewrite(u64 *headers, const struct packet *packet)
{
	struct ipv4 aged = { .checksum = (u16)headers[3] };
	headers[0] = packet->new_destination | packet->new_source << 48;
	headers[1] = (headers[1] & ~0xffffffffULL) | (u32)(packet->new_source >> 16);
	headers[2] -= 1ULL << 48; /* TTL */
	headers[3] = (headers[3] & ~0xffffULL) | fp_parse_aged(aged.checksum);
}

fp_inline int is_decided_alike(const struct note *one, const struct note *other)
{
	return one->verdict == other->verdict && one->egress == other->egress &&
	       one->tag == other->tag && one->length == other->length &&
	       one->headers[0] == other->headers[0] && one->headers[1] == other->headers[1] &&
	       one->headers[2] == other->headers[2] && one->headers[3] == other->headers[3] &&
	       one->headers[4] == other->headers[4];
}

/* Whether there is a note of the packet now, whose frame has been put into `room`. */
fp_inline int fp_shadow_note(struct shadow_room *room, const struct packet *packet, outcome outcome,
			     u32 length, u32 beside)
{
	struct note *note = &room->note;
	fp_see(&room->sight, note->frame, length, beside);
	fp_fingerprint(&room->key, &room->sight);
	fp_headers(note->headers, &room->sight);
	note->time = bpf_ktime_get_ns();
	note->waiting = 1;
	note->verdict = outcome == FORWARD ? NOTE_FORWARD : NOTE_DROP;
	note->egress = 0;
	note->length = room->sight.length;
	note->tag = room->sight.tag;
	note->came_with = beside;
	if (outcome == FORWARD) {
		note->egress = packet->egress_index;
		if (packet->routed)
			fp_shadow_rewrite(note->headers, packet);
#if FILTERS_VLANS
		note->tag = 0;
		if (packet->leaves_tagged)
			note->tag =
				NOTE_TAGGED | (u16)((packet->control & ~VLAN_ID) | packet->vlan);
#endif
	}
	struct note *known = bpf_map_lookup_elem(&fpd_notes, &room->key);
	if (!known) {
		if (!bpf_map_update_elem(&fpd_notes, &room->key, note, ONLY_NEW))
			return 1;
		/* full, or another processor was quicker */
		known = bpf_map_lookup_elem(&fpd_notes, &room->key);
		if (!known)
			return 0;
	}
	__sync_fetch_and_add(&known->waiting, 1);
	if (!is_decided_alike(known, note))
		known->mixed = 1;
	if (note->arrived)
		known->arrived = 1;
	return 1;
}

fp_inline void fp_shadow_count(outcome outcome, u32 length, int is_noted)
{
	count(outcome == FORWARD ? SHADOW_FORWARDED : SHADOW_DROPPED, length);
	if (!is_noted)
		count(SHADOW_UNNOTED, length);
}

#ifdef FPM_XDP_H
fp_inline int fp_xdp_shadow(struct xdp_md *context, struct packet *packet, outcome outcome)
{
	if (fp_xdp_is_asked(context))
		return fp_xdp_finish(context, packet, outcome);
	u32 length = fp_xdp_length(context);
	if (outcome != FORWARD && outcome != DROP) {
		count(forgotten(outcome), length);
		return XDP_PASS;
	}
	length -= packet->padding; /* as it leaves */
	int is_noted = 0;
	struct shadow_room *room = fp_shadow_room();
	u32 size = fp_shadow_size(length);
	if (room && size && !bpf_xdp_load_bytes(context, 0, room->note.frame, size)) {
		room->note.hook = NOTE_XDP;
		room->note.arrived = 0; /* not yet */
		room->note.ingress = context->ingress_ifindex;
		room->note.size = size;
		is_noted = fp_shadow_note(room, packet, outcome, length, 0);
	}
	fp_shadow_count(outcome, length, is_noted);
	return XDP_PASS;
}
#endif

#ifdef FPM_TC_H
/* Whether the observer was there when the kernel received the packet. */
fp_inline int fp_tc_has_arrived(struct __sk_buff *context)
{
	u32 first = 0;
	u64 *arrival = bpf_map_lookup_elem(&fpd_arrival, &first);
	if (!arrival)
		return 0;
	u64 seen = *arrival;
	*arrival = 0;
	return seen == behind(context);
}

fp_inline int fp_tc_shadow(struct __sk_buff *context, struct packet *packet, outcome outcome)
{
	if (fp_tc_is_asked(context))
		return fp_tc_finish(context, packet, outcome);
	u32 length = context->len;
	if (outcome != FORWARD && outcome != DROP) {
		count(forgotten(outcome), length);
		return TC_NEXT;
	}
	length -= packet->padding; /* as it leaves */
	int is_noted = 0;
	struct shadow_room *room = fp_shadow_room();
	u32 size = fp_shadow_size(length);
	/* The observer sees no more than lies in one piece. */
	u32 seen = context->data_end - context->data;
	u32 needed = length < NOTE_NEEDED ? length : NOTE_NEEDED;
	if (room && size && seen >= needed &&
	    !bpf_skb_load_bytes(context, 0, room->note.frame, size)) {
		u32 beside = context->vlan_present ? NOTE_TAGGED | (u16)context->vlan_tci : 0;
		room->note.hook = NOTE_TC;
		room->note.arrived = fp_tc_has_arrived(context);
		room->note.ingress = context->ifindex;
		room->note.size = size;
		is_noted = fp_shadow_note(room, packet, outcome, length, beside);
	}
	fp_shadow_count(outcome, length, is_noted);
	return TC_NEXT;
}
#endif

#endif
