/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the traffic generator and the sink exchange with the lab: settings before they are loaded, and
 * counters that are mapped into the lab while they run.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

enum {
	LOAD_HEADERS = 14 + 20 + 8, /* Ethernet, IPv4, UDP */
	LOAD_SHORTEST = 60,	    /* on the wire 64, with the checksum that hardware appends */
	LOAD_LONGEST = 1514,
	LOAD_WORD_FRAMES = 64,	    /* frames that one word of `seen` answers for */
	LOAD_TURNS_BY_CLOCK = 4096, /* turns between two looks at the deadline */
	LOAD_BURST = 64,	    /* frames that a late generator catches up with at once */
	LOAD_GIVE_UP_NS = 50000000, /* frames of a full window that take longer are lost */
	LOAD_DEPARTURES = 1 << 16,  /* the latest frames of which is known when they left */
};

/*
 * Delays in nanoseconds are counted in buckets: up to 32 each has its own, above each power of two has 32.
 * What takes longer than the last bucket counts there.
 */
enum {
	LOAD_DELAY_BITS = 5,
	LOAD_DELAY_STEPS = 1 << LOAD_DELAY_BITS,
	LOAD_DELAYS = LOAD_DELAY_STEPS * 36
};

/* What is sent. Addresses and ports in host order; flow f has source address `source_address` +
 * f % `source_addresses`, and so on. */
struct load_traffic {
	unsigned char destination[6];
	unsigned char source[6];
	unsigned int
		destinations; /* how many MAC addresses from there on, counted in the last 4 bytes */
	unsigned int sources;
	unsigned int source_address;
	unsigned int source_addresses;
	unsigned int destination_address;
	unsigned int destination_addresses;
	unsigned int destination_step; /* between two destination addresses */
	unsigned int flows;
	unsigned int length; /* of a frame, without its checksum */
	unsigned int port;   /* UDP, destination */
	unsigned int egress; /* interface index */
	unsigned int timed;  /* it is written down when each frame leaves */
};

/* What every frame carries behind its UDP header. */
struct load_mark {
	unsigned int magic;
	unsigned int flow;
	unsigned long long number; /* of the frame, over all flows, from 0 on */
};

#define LOAD_MAGIC 0x6c6f6164u

/* The generator's variables; those up to `deadline` are set before a run. */
struct load_progress {
	unsigned long long limit;  /* frames to send */
	unsigned long long rate;   /* frames a second; 0: as many as go */
	unsigned long long window; /* frames sent behind the newest that arrived; 0: no bound */
	unsigned long long begun;  /* CLOCK_MONOTONIC */
	unsigned long long deadline;
	unsigned int stop; /* nothing more is sent */
	unsigned int flow;
	unsigned long long sent;
	unsigned long long allowed;
	unsigned long long first; /* when the first turn was, and the first in which all was over */
	unsigned long long last;
	unsigned long long turns;
	unsigned long long waited; /* turns in which nothing was sent */
	unsigned long long given_up;
	unsigned long long
		given_up_below; /* the number that frames which will not come are below */
	unsigned long long full_since;
	unsigned int destination, source, source_address, destination_address; /* of the flow */
};

/* What the sink counts. */
struct load_arrivals {
	unsigned long long frames;
	unsigned long long bytes;
	unsigned long long reordered;  /* behind a later frame of their flow */
	unsigned long long duplicated; /* had arrived before */
	unsigned long long beyond;     /* numbers or flows that the sink was not made for */
	unsigned long long damaged;    /* an IPv4 header whose checksum is wrong, or TTL 0 */
	unsigned long long others;     /* not the generator's: passed to the host */
	unsigned long long newest;     /* one more than the highest number that arrived */
	unsigned long long delay;      /* of all frames, together, in nanoseconds */
};

/* What a witness is told, and what it adds to its host's number for a frame. */
struct load_witness {
	unsigned int port;
	unsigned int host; /* what it writes down; the next host's is four higher */
	unsigned long long frames;
};

enum {
	LOAD_OTHER_STATION = 1, /* the last byte but one of its destination address is odd */
	LOAD_IN_PIECES = 2,	/* the first of several fragments */
};

/* How the sink counts. */
struct load_sink {
	unsigned int port;
	unsigned int flows; /* 0: frames and bytes only */
	unsigned long long frames;
	unsigned long long timed; /* how long each frame took is counted */
};

#endif
