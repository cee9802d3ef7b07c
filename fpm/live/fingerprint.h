/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * By what a packet is known again behind the kernel: the bytes that neither bridging nor routing changes.
 * MAC addresses, TOS, TTL and the header's checksum are left out, so that a packet is found, and compared,
 * also where the kernel wrote something else there.
 */
#ifndef FPM_LIVE_FINGERPRINT_H
#define FPM_LIVE_FINGERPRINT_H

#include "../kernel/helpers.h"
#include "note.h"

enum {
	MAP_PERCPU_ARRAY = 6,
	SIGHT_RAW = 64,
	SIGHT_WORDS = 7,
	SIGHT_TAG = 4,
	SIGHT_IPV4 = 0x0008, /* in the order of the network */
	SIGHT_TCP = 6,
};

/* The beginning of a frame without its tag, zeros behind its end. */
struct sight {
	u64 words[SIGHT_WORDS];
	u32 tag;
	u32 length;
};

/* What has been decided on, and nothing has been seen of yet. */
struct {
	map_number(type, MAP_HASH);
	map_number(max_entries, NOTES_MAX);
	map_type(key, struct note_key);
	map_type(value, struct note);
} fpd_notes SEC(".maps");

/* Where this processor was last seen to receive a packet, until it has been decided on. */
struct {
	map_number(type, MAP_PERCPU_ARRAY);
	map_number(max_entries, 1);
	map_type(key, u32);
	map_type(value, u64);
} fpd_arrival SEC(".maps");

/* `raw`: SIGHT_RAW bytes; `beside`: the tag that is not in the frame. */
fp_inline void fp_see(struct sight *sight, const u8 *raw, u32 length, u32 beside)
{
	sight->tag = beside;
	sight->length = length;
	if (!beside && raw[12] == 0x81 && raw[13] == 0) {
		sight->tag = NOTE_TAGGED | (u32)raw[14] << 8 | raw[15];
		sight->length = length - SIGHT_TAG;
		__builtin_memcpy(sight->words, raw, 12);
		__builtin_memcpy((u8 *)sight->words + 12, raw + 12 + SIGHT_TAG,
				 sizeof(sight->words) - 12);
	} else {
		__builtin_memcpy(sight->words, raw, sizeof(sight->words));
	}
}

fp_inline int fp_is_ipv4(const struct sight *sight)
{
	return (u16)(sight->words[1] >> 32) == SIGHT_IPV4;
}

fp_inline u8 fp_transport_of(const struct sight *sight)
{
	return (u8)(sight->words[2] >> 56);
}

#define TTL_MASK (0xffULL << 48)

fp_inline void fp_fingerprint(struct note_key *key, const struct sight *sight)
{
	const u64 *words = sight->words;
	if (fp_is_ipv4(sight)) {
		/* addresses; length, id, fragment and protocol; ports and what follows them */
		key->words[0] = words[3] >> 16 | words[4] << 48;
		key->words[1] = words[2] & ~TTL_MASK;
		key->words[2] = words[4] >> 16 | words[5] << 48;
		key->words[3] = 1;
		if (fp_transport_of(sight) == SIGHT_TCP)
			key->words[3] |= words[5] >> 16 << 32;
		return;
	}
	key->words[0] = words[0];
	key->words[1] = words[1];
	key->words[2] = words[2] ^ words[4] * 0x9e3779b97f4a7c15ULL;
	key->words[3] = words[3] ^ (words[5] << 16) * 0x9e3779b97f4a7c15ULL;
}

/* Ethernet and IPv4, or the first bytes of whatever it is. */
fp_inline void fp_headers(u64 *headers, const struct sight *sight)
{
	headers[0] = sight->words[0];
	headers[1] = sight->words[1];
	headers[2] = sight->words[2];
	headers[3] = sight->words[3];
	headers[4] = (u16)sight->words[4];
}

#endif
