/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The kernel's own hash function, include/linux/jhash.h.
 */
#ifndef FPM_LIVE_HASH_H
#define FPM_LIVE_HASH_H

#include "../kernel/helpers.h"

#define ROTATE(value, by) ((value) << (by) | (value) >> (32 - (by)))

enum { HASH_START = 0xdeadbeef };

/* __jhash_final() */
fp_inline u32 hash_finally(u32 a, u32 b, u32 c)
{
	c ^= b, c -= ROTATE(b, 14);
	a ^= c, a -= ROTATE(c, 11);
	b ^= a, b -= ROTATE(a, 25);
	c ^= b, c -= ROTATE(b, 16);
	a ^= c, a -= ROTATE(c, 4);
	b ^= a, b -= ROTATE(a, 14);
	c ^= b, c -= ROTATE(b, 24);
	return c;
}

/* jhash2() of two words, as rhashtables hash keys of eight bytes, and ipset its elements. */
fp_inline u32 hash_words(u32 low, u32 high, u32 seed)
{
	u32 start = (u32)HASH_START + (2 << 2) + seed;
	return hash_finally(start + low, start + high, start);
}

/* The same of one word. */
fp_inline u32 hash_word(u32 word, u32 seed)
{
	u32 start = (u32)HASH_START + (1 << 2) + seed;
	return hash_finally(start + word, start, start);
}

#endif
