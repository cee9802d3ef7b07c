/* SPDX-License-Identifier: Apache-2.0 */
/* libbpf, and what it offers only as macros or with variable arguments. */
#ifndef FPD_CBPF_H
#define FPD_CBPF_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "../../../fpm/live/sets.h"
#include "../../../fpm/live/view.h"
#include "CBPFAttach.h"
#include "CBPFShadow.h"
#include "CBPFTypes.h"

/* Has libbpf keep its messages for `fpd_bpf_log` instead of printing them. */
void fpd_bpf_keep_log(void);
/* What libbpf has said since the last call to this; valid until libbpf speaks again. */
const char *fpd_bpf_take_log(void);

struct bpf_object *fpd_bpf_open(const void *bytes, size_t size, const char *name);
/* Programs that are loaded from now on may call functions of this module; 0, or -1 and errno. */
int fpd_bpf_call_module(const char *name);
/* Runs a program that is attached to nothing; 0, or -1 and errno. */
int fpd_bpf_run(int program);

/* Records, one behind the other. */
struct fpd_bpf_bag {
	unsigned char *bytes;
	size_t room;
	size_t used;
};
/* A ring buffer whose records go into `bag`, as far as they fit in; without one they are only counted. */
struct ring_buffer *fpd_bpf_ring_new(int map, struct fpd_bpf_bag *bag);
/* How many records have come since the last call; negative on an error. */
int fpd_bpf_ring_count(struct ring_buffer *ring);

/* A file that is only in memory; -1 and errno. */
int fpd_memory_file(const char *name);

#endif
