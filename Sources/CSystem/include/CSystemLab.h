/* SPDX-License-Identifier: Apache-2.0 */
/* What the lab needs from the system and Swift cannot do itself: spawn into a namespace without a
 * fork of the whole program, threads inside a namespace, and packet sockets. */
#ifndef FPD_CSYSTEM_LAB_H
#define FPD_CSYSTEM_LAB_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What to start, where. Descriptors of -1 mean /dev/null. */
struct lab_spawn {
	const char *program;
	char *const *arguments;
	char *const *environment;
	const char *namespace_path; /* NULL: stay in this namespace */
	int input, output, errors;
	int own_sys; /* a mount namespace whose /sys shows the network namespace */
};

/* Starts a program in a process group of its own. 0, or an errno with the step that failed. */
int lab_spawn(const struct lab_spawn *spawn, pid_t *pid, const char **step);

/* A pipe whose ends no child inherits. 0 or an errno. */
int lab_pipe(int ends[2]);

/* Makes a network namespace and binds it to a path, as `ip netns add` does. 0 or an errno. */
int lab_namespace_make(const char *directory, const char *path, const char **step);

/* Runs a function on a thread of its own inside a namespace and waits for it. 0 or an errno. */
int lab_namespace_run(const char *path, void (*body)(void *), void *argument, const char **step);

/* Has SIGINT, SIGTERM and SIGHUP call `clean` on a thread of its own and then end the process. */
int lab_clean_on_signal(void (*clean)(void));

/* Attaches a loaded classifier to a device of the calling thread's namespace by TCX, which Debian's
 * tools cannot yet. The link's descriptor, which holds it, or -errno. */
int lab_tcx_attach(unsigned int ifindex, uint32_t program_id, int egress);

/* Makes a tap device in the calling thread's namespace; it goes with the descriptor. With offloads frames have the
 * header of virtio_net before them, and checksums and segments may be left to who takes them, as between QEMU and
 * a guest. Negative: -errno. */
int lab_tap_device_open(const char *name, int offloads);

/* A packet socket for every protocol on a device of the calling thread's namespace. Negative: -errno. */
int lab_packet_open(unsigned int ifindex);
/* The same for one protocol on all devices. */
int lab_packet_open_type(uint16_t ether_type);
int lab_packet_send(int socket, unsigned int ifindex, const void *frame, size_t length);

/* What a local sender leaves to the device: the transport checksum, and cutting a stream into segments. */
struct lab_offload {
	uint16_t header_length;
	uint16_t segment; /* 0: it is one already */
	uint16_t checksum_start, checksum_offset;
};
/* Sends on a device of the calling thread's namespace. */
int lab_packet_send_offloaded(unsigned int ifindex, const void *frame, size_t length,
			      const struct lab_offload *offload);

struct lab_packet {
	uint64_t nanoseconds; /* since 1970 */
	uint32_t wire_length;
	uint8_t outgoing;
};

/* Receives one frame without waiting, its VLAN tag put back in place. Its length, or -errno. */
ssize_t lab_packet_receive(int socket, void *frame, size_t room, struct lab_packet *packet);

/* Keeps the calling thread on the CPU it is on, or gives back those it had. */
void lab_stay_on_cpu(int stay);

#endif
