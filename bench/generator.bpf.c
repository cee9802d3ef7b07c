// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Sends UDP frames: run by BPF_PROG_RUN on live frames, it writes each frame anew, because the kernel
 * gives it the same pages again and again, and redirects it to a device.
 */
#include "arrivals.h"

enum { DATAGRAM = 8, TTL = 64, SOURCE_PORT = 0x4000, SOURCE_PORTS = 0x3fff };

const volatile struct load_traffic config = {};
struct load_progress progress = {};

/*
 * Frames keep their order, so what was sent before one that arrived is not under way any more, whether it
 * arrived or not. Where none comes any more, the window is opened for new ones after a while.
 */
fp_inline _Bool window_is_full(void)
{
	/* the sink's, where the frames under way are bounded */
	volatile struct load_arrivals *arrived = count_of_arrivals();
	u64 done = arrived ? arrived->newest : progress.sent;

	if (done < progress.given_up_below)
		done = progress.given_up_below;
	if (progress.sent - done < progress.window) {
		progress.full_since = 0;
		return 0;
	}
	u64 now = bpf_ktime_get_ns();
	if (!progress.full_since)
		progress.full_since = now;
	if (now - progress.full_since < LOAD_GIVE_UP_NS)
		return 1;
	progress.given_up += progress.sent - done;
	progress.given_up_below = progress.sent;
	progress.full_since = 0;
	return 0;
}

/* Whoever was kept from sending does not send all of it at once later on. */
fp_inline _Bool is_early(void)
{
	enum { SECOND = 1000000000 };

	if (progress.sent < progress.allowed)
		return 0;
	u64 now = bpf_ktime_get_ns();
	u64 due = (now - progress.begun) * progress.rate / SECOND;
	if (due > progress.sent + LOAD_BURST) {
		due = progress.sent + LOAD_BURST;
		progress.begun = now - due * SECOND / progress.rate;
	}
	progress.allowed = due;
	return progress.sent >= due;
}

fp_inline _Bool is_over(void)
{
	if (progress.turns++ % LOAD_TURNS_BY_CLOCK == 0) {
		u64 now = bpf_ktime_get_ns();
		if (!progress.first)
			progress.first = now;
		if (now > progress.deadline)
			progress.stop = 1;
	}
	if (progress.sent < progress.limit && !*(volatile unsigned int *)&progress.stop)
		return 0;
	if (!progress.last)
		progress.last = bpf_ktime_get_ns();
	return 1;
}

fp_inline void count_up(u32 *value, u32 end)
{
	if (++*value >= end)
		*value = 0;
}

fp_inline void next_flow(void)
{
	progress.sent++;
	if (++progress.flow >= config.flows) {
		progress.flow = 0;
		progress.destination = 0;
		progress.source = 0;
		progress.source_address = 0;
		progress.destination_address = 0;
		return;
	}
	count_up(&progress.destination, config.destinations);
	count_up(&progress.source, config.sources);
	count_up(&progress.source_address, config.source_addresses);
	count_up(&progress.destination_address, config.destination_addresses);
}

fp_inline void write_mac(u8 *to, const volatile u8 *base, u32 number)
{
	u32 low = ((u32)base[2] << 24 | (u32)base[3] << 16 | (u32)base[4] << 8 | base[5]) + number;

	to[0] = base[0];
	to[1] = base[1];
	to[2] = (u8)(low >> 24);
	to[3] = (u8)(low >> 16);
	to[4] = (u8)(low >> 8);
	to[5] = (u8)low;
}

fp_inline void write_ipv4(struct ipv4 *ip, u16 length)
{
	u32 source = config.source_address + progress.source_address;
	u32 destination =
		config.destination_address + progress.destination_address * config.destination_step;
	u32 sum = (VERSION_4_NO_OPTIONS << 8) + length + (TTL << 8 | UDP) + (source >> 16) +
		  (source & 0xffff) + (destination >> 16) + (destination & 0xffff);

	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	ip->version_length = VERSION_4_NO_OPTIONS;
	ip->tos = 0;
	ip->length = network16(length);
	ip->identification = 0;
	ip->fragment = 0;
	ip->ttl = TTL;
	ip->protocol = UDP;
	ip->checksum = network16((u16)~sum);
	ip->source = network32(source);
	ip->destination = network32(destination);
}

SEC("xdp") int load_generate(struct xdp_md *context)
{
	struct ethernet *eth = (void *)(long)context->data;
	struct ipv4 *ip = (void *)(eth + 1);
	struct udp *udp = (void *)(ip + 1);
	struct load_mark *mark = (void *)(udp + 1);

	if ((void *)(mark + 1) > (void *)(long)context->data_end)
		return XDP_ABORTED;
	if (is_over() || (progress.rate && is_early()) || (progress.window && window_is_full())) {
		progress.waited++;
		return XDP_DROP;
	}
	u16 length = (u16)(config.length - sizeof(*eth));
	write_mac(eth->destination, config.destination, progress.destination);
	write_mac(eth->source, config.source, progress.source);
	eth->type = network16(TYPE_IPV4);
	write_ipv4(ip, length);
	udp->source = network16((u16)(SOURCE_PORT + (progress.flow & SOURCE_PORTS)));
	udp->destination = network16((u16)config.port);
	udp->length = network16((u16)(length - sizeof(*ip)));
	udp->checksum = 0;
	mark->magic = LOAD_MAGIC;
	mark->flow = progress.flow;
	mark->number = progress.sent;
	if (config.timed) {
		u64 *departure = departure_of(progress.sent);
		if (departure)
			*departure = bpf_ktime_get_ns();
	}
	next_flow();
	return (int)bpf_redirect(config.egress, 0);
}

char terms[] SEC("license") = "GPL";
