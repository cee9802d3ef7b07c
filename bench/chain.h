/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A chain of trivial functions: each looks at one byte of the packet. `length` of them are there.
 */
#ifndef BENCH_CHAIN_H
#define BENCH_CHAIN_H

#include "packet.h"

enum { LONGEST = 32 };

const volatile u32 length = 1;

/* Whether the packet may go on. */
fp_inline _Bool is_fine(struct xdp_md *context, u32 place)
{
	u8 *byte = (u8 *)(long)context->data + place;

	return byte + 1 <= (u8 *)(long)context->data_end && *byte != 0xff;
}

/* Takes a packet through all of them. */
#define CHAIN_OF(is_fine)                                                                          \
	do {                                                                                       \
		_Pragma("clang loop unroll(full)") for (                                           \
			u32 place = 0; place < LONGEST;                                            \
			place++) if (place < length &&                                             \
				     !is_fine(context, place)) return XDP_ABORTED;                 \
		return XDP_DROP;                                                                   \
	} while (0)

#endif
