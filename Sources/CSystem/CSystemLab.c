/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CSystem.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Child side of lab_spawn: shares the parent's memory until exec, so it may only make system calls. */
static const char *become(const struct lab_spawn *spawn)
{
	int null, namespace;
	int from[3] = { spawn->input, spawn->output, spawn->errors };
	sigset_t none;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (spawn->namespace_path) {
		namespace = open(spawn->namespace_path, O_RDONLY | O_CLOEXEC);
		if (namespace < 0)
			return "opening the namespace";
		if (setns(namespace, CLONE_NEWNET) < 0)
			return "entering the namespace";
	}
	if (spawn->own_sys) {
		if (unshare(CLONE_NEWNS) < 0)
			return "making a private mount namespace";
		if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			return "making the mounts private";
		umount2("/sys", MNT_DETACH);
		if (mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
			return "mounting the namespace's /sys";
	}
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return "opening /dev/null";
	for (int i = 0; i < 3; i++)
		if (dup2(from[i] < 0 ? null : from[i], i) < 0)
			return "setting up standard input and output";
	execve(spawn->program, spawn->arguments, spawn->environment);
	return "starting the program";
}

int lab_spawn(const struct lab_spawn *spawn, pid_t *pid, const char **step)
{
	/* Written by the child in the parent's memory: volatile, so that both see it. */
	const char *volatile failed = NULL;
	volatile int error = 0;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t child = vfork();
	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		failed = become(spawn);
		error = errno;
		_exit(127);
	}
	if (child < 0) {
		failed = "making a process";
		error = errno;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	*pid = child;
	*step = failed;
	return failed ? error : 0;
}

int lab_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;
}

struct thread_job {
	const char *directory, *path, *step;
	void (*body)(void *);
	void *argument;
	int error;
};

static int run_thread(void *(*start)(void *), struct thread_job *job, const char **step)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, start, job);
	if (error) {
		*step = "starting a thread";
		return error;
	}
	pthread_join(thread, NULL);
	*step = job->step;
	return job->error;
}

static void *make_namespace(void *opaque)
{
	struct thread_job *job = opaque;
	int file;

	job->step = "making /run/netns a place for namespaces";
	if (mkdir(job->directory, 0755) < 0 && errno != EEXIST)
		goto fail;
	/* Shared, so that a namespace removed here is removed in every mount namespace. */
	if (mount("", job->directory, "none", MS_SHARED | MS_REC, NULL) < 0) {
		if (errno != EINVAL)
			goto fail;
		if (mount(job->directory, job->directory, "none", MS_BIND | MS_REC, NULL) < 0)
			goto fail;
		if (mount("", job->directory, "none", MS_SHARED | MS_REC, NULL) < 0)
			goto fail;
	}
	job->step = "making the file it is bound to";
	file = open(job->path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (file < 0)
		goto fail;
	close(file);
	job->step = "making a network namespace";
	if (unshare(CLONE_NEWNET) < 0)
		goto undo;
	job->step = "binding the namespace to its path";
	if (mount("/proc/thread-self/ns/net", job->path, "none", MS_BIND, NULL) < 0)
		goto undo;
	job->step = NULL;
	return NULL;
undo:
	job->error = errno;
	unlink(job->path);
	return NULL;
fail:
	job->error = errno;
	return NULL;
}

int lab_namespace_make(const char *directory, const char *path, const char **step)
{
	struct thread_job job = { .directory = directory, .path = path };
	return run_thread(make_namespace, &job, step);
}

static void *run_inside(void *opaque)
{
	struct thread_job *job = opaque;
	int namespace = open(job->path, O_RDONLY | O_CLOEXEC);

	job->step = "opening the namespace";
	if (namespace < 0) {
		job->error = errno;
		return NULL;
	}
	job->step = "entering the namespace";
	if (setns(namespace, CLONE_NEWNET) < 0) {
		job->error = errno;
		close(namespace);
		return NULL;
	}
	close(namespace);
	job->step = NULL;
	job->body(job->argument);
	return NULL;
}

int lab_namespace_run(const char *path, void (*body)(void *), void *argument, const char **step)
{
	struct thread_job job = { .path = path, .body = body, .argument = argument };
	return run_thread(run_inside, &job, step);
}

static int signal_pipe[2];
static void (*signal_clean)(void);

static void on_signal(int number)
{
	int saved = errno;
	unsigned char byte = (unsigned char)number;
	if (write(signal_pipe[1], &byte, 1) < 0)
		_exit(128 + number);
	errno = saved;
}

static void *watch_signals(void *unused)
{
	unsigned char byte;

	(void)unused;
	while (read(signal_pipe[0], &byte, 1) != 1)
		if (errno != EINTR)
			return NULL;
	signal_clean();
	signal(byte, SIG_DFL);
	kill(getpid(), byte);
	_exit(128 + byte);
}

int lab_clean_on_signal(void (*clean)(void))
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	pthread_t thread;
	int error;

	signal_clean = clean;
	if (pipe2(signal_pipe, O_CLOEXEC) < 0)
		return errno;
	error = pthread_create(&thread, NULL, watch_signals, NULL);
	if (error)
		return error;
	pthread_detach(thread);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], &action, NULL) < 0)
			return errno;
	return 0;
}

int lab_tcx_attach(unsigned int ifindex, uint32_t program_id, int egress)
{
	enum { TCX_INGRESS = 46, TCX_EGRESS = 47 };
	union bpf_attr attributes;
	int program, link, error;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_id = program_id;
	program = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attributes, sizeof(attributes));
	if (program < 0)
		return -errno;
	memset(&attributes, 0, sizeof(attributes));
	attributes.link_create.prog_fd = (uint32_t)program;
	attributes.link_create.target_ifindex = ifindex;
	attributes.link_create.attach_type = egress ? TCX_EGRESS : TCX_INGRESS;
	link = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes));
	error = errno;
	close(program);
	return link < 0 ? -error : link;
}

static int open_packet(unsigned int ifindex, uint16_t ether_type)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ether_type),
		.sll_ifindex = (int)ifindex,
	};
	int one = 1, size = 8 << 20, error;
	/* Protocol 0 hears nothing: frames come only once the socket is bound to its device. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

int lab_tap_device_open(const char *name, int offloads)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (tap < 0)
		return -errno;
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (offloads)
		request.ifr_flags |= IFF_VNET_HDR;
	if (ioctl(tap, TUNSETIFF, &request) < 0)
		goto fail;
	if (offloads && ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) < 0)
		goto fail;
	return tap;

fail:;
	int code = errno;

	close(tap);
	return -code;
}

int lab_packet_open(unsigned int ifindex)
{
	return open_packet(ifindex, ETH_P_ALL);
}

int lab_packet_open_type(uint16_t ether_type)
{
	return open_packet(0, ether_type);
}

int lab_packet_send(int fd, unsigned int ifindex, const void *frame, size_t length)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)ifindex,
		.sll_halen = ETH_ALEN,
	};

	if (length >= ETH_ALEN)
		memcpy(address.sll_addr, frame, ETH_ALEN);
	ssize_t sent = sendto(fd, frame, length, 0, (struct sockaddr *)&address, sizeof(address));
	if (sent < 0)
		return errno;
	return (size_t)sent == length ? 0 : EMSGSIZE;
}

int lab_packet_send_offloaded(unsigned int ifindex, const void *frame, size_t length,
			      const struct lab_offload *offload)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex };
	struct virtio_net_hdr header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = offload->segment ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE,
		.hdr_len = offload->header_length,
		.gso_size = offload->segment,
		.csum_start = offload->checksum_start,
		.csum_offset = offload->checksum_offset,
	};
	struct iovec parts[] = { { &header, sizeof(header) }, { (void *)frame, length } };
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = sizeof(address),
		.msg_iov = parts,
		.msg_iovlen = 2,
	};
	int one = 1, error = 0, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    sendmsg(fd, &message, 0) < 0)
		error = errno;
	close(fd);
	return error;
}

/* The kernel takes an outer VLAN tag out of the frame and tells it in the ancillary data. */
static ssize_t put_tag_back(uint8_t *frame, ssize_t length, size_t room,
			    const struct tpacket_auxdata *tag)
{
	uint16_t protocol = ETH_P_8021Q;

	if (!(tag->tp_status & TP_STATUS_VLAN_VALID) || length < 2 * ETH_ALEN ||
	    (size_t)length + 4 > room)
		return length;
	if (tag->tp_status & TP_STATUS_VLAN_TPID_VALID)
		protocol = tag->tp_vlan_tpid;
	memmove(frame + 2 * ETH_ALEN + 4, frame + 2 * ETH_ALEN, (size_t)length - 2 * ETH_ALEN);
	frame[12] = (uint8_t)(protocol >> 8);
	frame[13] = (uint8_t)protocol;
	frame[14] = (uint8_t)(tag->tp_vlan_tci >> 8);
	frame[15] = (uint8_t)tag->tp_vlan_tci;
	return length + 4;
}

ssize_t lab_packet_receive(int fd, void *frame, size_t room, struct lab_packet *packet)
{
	char control[256];
	struct sockaddr_ll from = { 0 };
	struct iovec vector = { .iov_base = frame, .iov_len = room };
	struct msghdr message = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t length;

	do
		length = recvmsg(fd, &message, MSG_DONTWAIT);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	*packet = (struct lab_packet){
		.wire_length = (uint32_t)length,
		.outgoing = from.sll_pkttype == PACKET_OUTGOING,
	};
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
			struct tpacket_auxdata tag;
			memcpy(&tag, CMSG_DATA(c), sizeof(tag));
			packet->wire_length = tag.tp_len;
			length = put_tag_back(frame, length, room, &tag);
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec at;
			memcpy(&at, CMSG_DATA(c), sizeof(at));
			packet->nanoseconds =
				(uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
		}
	}
	return length;
}

void lab_stay_on_cpu(int stay)
{
	static _Thread_local cpu_set_t before;
	cpu_set_t here;

	if (!stay) {
		sched_setaffinity(0, sizeof(before), &before);
		return;
	}
	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
}
