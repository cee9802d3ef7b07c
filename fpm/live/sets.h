/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What sets.bpf.c and fpd exchange: one area, the program's only global, mapped into the daemon.
 */
#ifndef FPM_LIVE_SETS_H
#define FPM_LIVE_SETS_H

enum { SETS_NAME_SIZE = 32 };

struct sets_area {
	/* in: a set of the namespace, as netlink tells of it */
	unsigned int index;
	char name[SETS_NAME_SIZE];
	char type[SETS_NAME_SIZE];
	/* out: how many candidates have that set, and the last of them */
	unsigned int found;
	unsigned long long address;
	/* scratch */
	char read[SETS_NAME_SIZE];
};

#endif
