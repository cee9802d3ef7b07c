/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CBPF.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The end of a verifier log says why: the beginning is dropped when it does not all fit. */
static char kept[1 << 14], taken[1 << 14];
static size_t used;

static int keep(enum libbpf_print_level level, const char *format, va_list arguments)
{
	static char line[1 << 14];
	if (level == LIBBPF_DEBUG)
		return 0;
	int length = vsnprintf(line, sizeof(line), format, arguments);
	if (length <= 0)
		return 0;
	size_t size = (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1;
	if (used + size >= sizeof(kept)) {
		size_t excess = used + size + 1 - sizeof(kept);
		excess = excess < used ? excess : used;
		memmove(kept, kept + excess, used - excess);
		used -= excess;
	}
	memcpy(kept + used, line, size);
	used += size;
	kept[used] = 0;
	return length;
}

void fpd_bpf_keep_log(void)
{
	libbpf_set_print(keep);
}

const char *fpd_bpf_take_log(void)
{
	memcpy(taken, kept, used + 1);
	used = 0;
	kept[0] = 0;
	return taken;
}

/*
 * What programs call that is not the kernel's own is told by a place in this list and the function's id. libbpf fills
 * such a list from relocations, and reads the types of every module for each; ours have the id in them already.
 */
static int descriptors[2];

static int prepare(struct bpf_program *program, struct bpf_prog_load_opts *options, long cookie)
{
	(void)program;
	(void)cookie;
	if (descriptors[1] > 0)
		options->fd_array = descriptors;
	return 0;
}

static int btf_of_module(const char *name)
{
	uint32_t id = 0;
	int refused = 0;
	while (!bpf_btf_get_next_id(id, &id)) {
		int descriptor = bpf_btf_get_fd_by_id(id);
		if (descriptor < 0) {
			/* one that is gone meanwhile is none of ours */
			refused = errno == ENOENT ? refused : errno;
			continue;
		}
		char found[64] = "";
		struct bpf_btf_info info = { .name = (uintptr_t)found, .name_len = sizeof(found) };
		uint32_t size = sizeof(info);
		if (!bpf_obj_get_info_by_fd(descriptor, &info, &size) && info.kernel_btf &&
		    !strcmp(found, name))
			return descriptor;
		close(descriptor);
	}
	errno = refused ? refused : errno;
	return -1;
}

int fpd_bpf_call_module(const char *name)
{
	if (descriptors[1] > 0)
		close(descriptors[1]);
	descriptors[1] = name ? btf_of_module(name) : 0;
	return descriptors[1] < 0 ? -1 : 0;
}

static int register_handlers(void)
{
	static int done;
	if (done)
		return 1;
	LIBBPF_OPTS(libbpf_prog_handler_opts, options, .prog_prepare_load_fn = prepare);
	done = libbpf_register_prog_handler("xdp", BPF_PROG_TYPE_XDP, BPF_XDP, &options) > 0 &&
	       libbpf_register_prog_handler("tc", BPF_PROG_TYPE_SCHED_CLS, 0, &options) > 0;
	return done;
}

struct bpf_object *fpd_bpf_open(const void *bytes, size_t size, const char *name)
{
	if (!register_handlers())
		return NULL;
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name);
	return bpf_object__open_mem(bytes, size, &options);
}

int fpd_bpf_run(int program)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);
	return bpf_prog_test_run_opts(program, &options);
}

static int put(void *context, void *record, size_t size)
{
	struct fpd_bpf_bag *bag = context;
	if (!bag || size > bag->room - bag->used)
		return 0;
	memcpy(bag->bytes + bag->used, record, size);
	bag->used += size;
	return 0;
}

struct ring_buffer *fpd_bpf_ring_new(int map, struct fpd_bpf_bag *bag)
{
	return ring_buffer__new(map, put, bag, NULL);
}

int fpd_bpf_ring_count(struct ring_buffer *ring)
{
	return ring_buffer__consume(ring);
}

int fpd_memory_file(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC);
}
