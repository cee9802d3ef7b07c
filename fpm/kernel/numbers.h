/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Numbers of fixed width, which declarations of the kernel's structures are made of.
 */
#ifndef FPM_KERNEL_NUMBERS_H
#define FPM_KERNEL_NUMBERS_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;
typedef signed short s16;
typedef signed char s8;

#endif
