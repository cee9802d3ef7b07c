/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CLoad.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAPPINGS = 8 };
enum { TCX_INGRESS = 46 }; /* BPF_TCX_INGRESS, which this libbpf has no name for */

struct load_object {
	struct bpf_object *object;
	int link;
	int mappings;
	struct {
		void *address;
		size_t size;
	} mapping[MAPPINGS];
};

/* The end of a log says why: what does not fit is dropped at its beginning. */
static __thread char log_text[1 << 14];
static __thread size_t log_used;

static int keep(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char line[4096];
	int length = level == LIBBPF_DEBUG ? 0 : vsnprintf(line, sizeof(line), format, arguments);
	size_t size = length < (int)sizeof(line) ? (size_t)length : sizeof(line) - 1;

	if (length <= 0)
		return 0;
	if (log_used + size >= sizeof(log_text)) {
		size_t excess = log_used + size + 1 - sizeof(log_text);
		excess = excess < log_used ? excess : log_used;
		memmove(log_text, log_text + excess, log_used - excess);
		log_used -= excess;
	}
	memcpy(log_text + log_used, line, size);
	log_used += size;
	log_text[log_used] = 0;
	return length;
}

const char *load_log(void)
{
	return log_text;
}

/* Others in this process may listen to libbpf at other times. */
static libbpf_print_fn_t begin_log(void)
{
	log_used = 0;
	log_text[0] = 0;
	return libbpf_set_print(keep);
}

static struct bpf_program *only_program(struct load_object *object)
{
	return bpf_object__next_program(object->object, NULL);
}

struct load_object *load_open(const char *path)
{
	struct load_object *object = calloc(1, sizeof(*object));
	libbpf_print_fn_t before;
	int error;

	if (!object)
		return NULL;
	object->link = -1;
	before = begin_log();
	object->object = bpf_object__open_file(path, NULL);
	error = errno;
	libbpf_set_print(before);
	errno = error;
	if (!object->object || !only_program(object)) {
		error = object->object ? ENOENT : errno;
		load_close(object);
		errno = error;
		return NULL;
	}
	return object;
}

void load_close(struct load_object *object)
{
	if (!object)
		return;
	if (object->link >= 0)
		close(object->link);
	for (int i = 0; i < object->mappings; i++)
		munmap(object->mapping[i].address, object->mapping[i].size);
	bpf_object__close(object->object);
	free(object);
}

int load_set_constant(struct load_object *object, const void *value, size_t size)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object->object, ".rodata");

	if (!map)
		return ENOENT;
	return -bpf_map__set_initial_value(map, value, size);
}

int load_set_entries(struct load_object *object, const char *name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object->object, name);

	return map ? -bpf_map__set_max_entries(map, entries) : ENOENT;
}

int load_share_map(struct load_object *object, const char *name, struct load_object *owner)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object->object, name);
	int from = bpf_object__find_map_fd_by_name(owner->object, name);

	if (!map || from < 0)
		return ENOENT;
	return -bpf_map__reuse_fd(map, from);
}

int load_load(struct load_object *object)
{
	libbpf_print_fn_t before = begin_log();
	int error = -bpf_object__load(object->object);

	libbpf_set_print(before);
	return error;
}

void *load_values(struct load_object *object, const char *name, size_t *size)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object->object, name);
	long page = sysconf(_SC_PAGESIZE);
	size_t bytes, whole;
	void *address;

	if (!map || object->mappings == MAPPINGS) {
		errno = map ? ENOSPC : ENOENT;
		return NULL;
	}
	/* An array keeps each value at a multiple of eight bytes. */
	bytes = (((size_t)bpf_map__value_size(map) + 7) & ~(size_t)7) * bpf_map__max_entries(map);
	whole = (bytes + (size_t)page - 1) & ~((size_t)page - 1);
	address = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (address == MAP_FAILED)
		return NULL;
	object->mapping[object->mappings].address = address;
	object->mapping[object->mappings++].size = whole;
	*size = bytes;
	return address;
}

int load_attach(struct load_object *object, unsigned int ifindex)
{
	struct bpf_program *program = only_program(object);
	int is_xdp = bpf_program__type(program) == BPF_PROG_TYPE_XDP;
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = is_xdp ? XDP_FLAGS_DRV_MODE : 0);
	int link = bpf_link_create(bpf_program__fd(program), (int)ifindex,
				   is_xdp ? BPF_XDP : (enum bpf_attach_type)TCX_INGRESS, &options);

	if (link < 0)
		return -link;
	object->link = link;
	return 0;
}

int load_run(struct load_object *object, void *frame, uint32_t length, uint32_t times,
	     uint32_t batch)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = length,
		    .repeat = (int)times, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = batch);

	return -bpf_prog_test_run_opts(bpf_program__fd(only_program(object)), &options);
}

int load_repeat(struct load_object *object, void *frame, uint32_t length, uint32_t times,
		uint32_t *answer)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = length,
		    .repeat = (int)times);
	int error = -bpf_prog_test_run_opts(bpf_program__fd(only_program(object)), &options);

	*answer = options.retval;
	return error;
}

uint32_t load_next_id(enum load_kind kind, uint32_t id)
{
	uint32_t next = 0;
	int error = kind == LOAD_PROGRAM ? bpf_prog_get_next_id(id, &next)
		    : kind == LOAD_MAP	 ? bpf_map_get_next_id(id, &next)
					 : bpf_link_get_next_id(id, &next);

	return error ? 0 : next;
}

int load_program_name(uint32_t id, char name[LOAD_NAME])
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);
	int program = bpf_prog_get_fd_by_id(id);
	int error;

	if (program < 0)
		return -program;
	error = -bpf_obj_get_info_by_fd(program, &info, &size);
	close(program);
	memcpy(name, info.name, LOAD_NAME);
	return error;
}

int load_map_name(uint32_t id, char name[LOAD_NAME])
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);
	int map = bpf_map_get_fd_by_id(id);
	int error;

	if (map < 0)
		return -map;
	error = -bpf_obj_get_info_by_fd(map, &info, &size);
	close(map);
	memcpy(name, info.name, LOAD_NAME);
	return error;
}

uint32_t load_link_program(uint32_t id)
{
	struct bpf_link_info info = { 0 };
	uint32_t size = sizeof(info);
	int link = bpf_link_get_fd_by_id(id);
	int error;

	if (link < 0)
		return 0;
	error = bpf_obj_get_info_by_fd(link, &info, &size);
	close(link);
	return error ? 0 : info.prog_id;
}
