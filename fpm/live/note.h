/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What programs in shadow mode, the observer of the kernel (observer.bpf.c) and fpd exchange: a note for each
 * packet that was decided on, and a difference where the kernel did something else with it.
 */
#ifndef FPM_LIVE_NOTE_H
#define FPM_LIVE_NOTE_H

enum {
	NOTES_MAX = 1 << 14,
	NOTE_FRAME_MAX = 256,
	NOTE_HEADERS = 5, /* words: Ethernet without a tag and IPv4, 34 bytes */
	NOTE_NEEDED =
		46, /* bytes of a frame that it is known by: and the ports and numbers of TCP */
	DIFFERENCES_MAX = 512, /* that fpd has yet to fetch */
	RESULTS_MAX = 4096,    /* interfaces */
};

enum { NOTE_FORWARD = 1, NOTE_DROP = 2 };
enum { NOTE_XDP = 0, NOTE_TC = 1 };

/* In a tag: there is one, behind it priority and VLAN. */
enum { NOTE_TAGGED = 1 << 16 };

/* What forwarding does not change. */
struct note_key {
	unsigned long long words[4];
};

struct note {
	unsigned long long time; /* when the first came, in nanoseconds since the machine started */
	unsigned int waiting;	 /* packets of these bytes that nothing has been seen of yet */
	unsigned int verdict;
	unsigned int ingress;
	unsigned int egress;
	unsigned int length;	/* without a tag */
	unsigned int tag;	/* that it would leave with */
	unsigned int came_with; /* the tag beside the frame */
	unsigned int hook;
	unsigned int mixed; /* other packets of these bytes were decided on in another way */
	/* One was freed in the kernel, which need not be the last of it: why, and on which device. */
	unsigned int freed;
	unsigned int freed_reason;
	unsigned int freed_on;
	unsigned int size;			  /* of the frame, as much as is kept */
	unsigned int arrived;			  /* the kernel was seen to receive one */
	unsigned long long headers[NOTE_HEADERS]; /* as they would leave */
	unsigned char frame[NOTE_FRAME_MAX];	  /* as it came */
};

enum {
	DIFFERS_DEVICE, /* sent, by another device */
	DIFFERS_BYTES,	/* sent, with another header, tag or length */
	DIFFERS_SENT,	/* to be dropped, and sent */
	DIFFERS_FREED,	/* to be forwarded, and freed in the kernel for a reason */
	DIFFERS_GONE,	/* nothing was seen of it */
	DIFFERENCE_KINDS,
};

struct difference {
	struct note note;
	unsigned long long time;
	unsigned int kind;
	unsigned int egress; /* what the kernel did: */
	unsigned int length;
	unsigned int tag;
	unsigned long long headers[NOTE_HEADERS];
};

/* Of the packets that came in by one interface. */
struct note_results {
	unsigned long long agreed;
	unsigned long long mixed; /* could not be told apart */
	unsigned long long differences[DIFFERENCE_KINDS];
};

#endif
