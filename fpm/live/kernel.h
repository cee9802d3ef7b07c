/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Looking at the kernel's memory. bpf_rdonly_cast() turns an address into something the verifier lets a
 * program read from: each read is one load, and a bad address reads as zero. It is an array of words
 * that every kernel has a type for, so that structures of modules are read as well as the kernel's own.
 *
 * Where things lie (OFFSET_, HAS_, KFUNC_) is written in front of each program: see kernel/types.h.
 */
#ifndef FPM_LIVE_KERNEL_H
#define FPM_LIVE_KERNEL_H

#include "../kernel/helpers.h"

#define WORD 8
#define WINDOW (SIZE_linux_mib / WORD * WORD)

/* A window onto the kernel's memory from an address on. */
typedef const u64 *window;

/* Calls `function`, whose id stands in the instruction: with a name it would have to be looked up at each load. */
#define CALL_KERNEL ".byte 0x85, 0x20, 0, 0\n.long %[function]"
/* The same for one that may be a module's: `module` is the place of its descriptor, 0 for the kernel. */
#define CALL_MODULE ".byte 0x85, 0x20\n.short %[module]\n.long %[function]"

fp_inline window look(u64 address)
{
	register u64 from asm("r1") = address;
	register u64 type asm("r2") = TYPE_ID_linux_mib;
	register window seen asm("r0");
	asm(CALL_KERNEL
	    : "=r"(seen), "+r"(from), "+r"(type)
	    : [function] "i"(KFUNC_bpf_rdonly_cast)
	    : "r3", "r4", "r5");
	return seen;
}

/* The kernel's own structure behind the one a program is called with. */
fp_inline u64 behind(void *context)
{
	register void *from asm("r1") = context;
	register u64 found asm("r0");
	asm(CALL_KERNEL
	    : "=r"(found), "+r"(from)
	    : [function] "i"(KFUNC_bpf_cast_to_kern_ctx)
	    : "r2", "r3", "r4", "r5");
	return found;
}

#define OFFSET(type, member) (OFFSET_##type##_##member)
#define MEMBER(type, member) __typeof__(((struct type *)0)->member)

fp_inline u64 word_at(window base, u64 offset)
{
	return base[offset / WORD] >> offset % WORD * 8;
}

/* A member of what is seen through a window onto its structure. */
#define seen(base, type, member) ((MEMBER(type, member))word_at(base, OFFSET(type, member)))

/* The same where the member lies beyond the window, or nothing else of the structure is asked for. */
#define live(address, type, member)                                                                \
	((MEMBER(type, member))word_at(look((u64)(address) + OFFSET(type, member) / WORD * WORD),  \
				       OFFSET(type, member) % WORD))

/* A number of 8 or 32 bits that lies `offset` bytes behind an address. */
fp_inline u32 live_u32(u64 address, u64 offset)
{
	return (u32)word_at(look(address + offset / WORD * WORD), offset % WORD);
}
fp_inline u8 live_u8(u64 address, u64 offset)
{
	return (u8)word_at(look(address + offset / WORD * WORD), offset % WORD);
}
/* Whether a member lies in the window that begins with another one. */
#define in_window(type, first, member)                                                             \
	(OFFSET(type, member) >= OFFSET(type, first) / WORD * WORD &&                              \
	 OFFSET(type, member) / WORD * WORD + WORD - OFFSET(type, first) / WORD * WORD <= WINDOW)
#define live_word(address) (look(address)[0])

#endif
