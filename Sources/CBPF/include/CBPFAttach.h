/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching, loading and running programs: libbpf's calls that need option structures. */
#ifndef FPD_CBPF_ATTACH_H
#define FPD_CBPF_ATTACH_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What libbpf 1.1 has no names for yet. */
enum { FPD_TCX_INGRESS = 46, FPD_LINK_RAW_TRACEPOINT = 1, FPD_LINK_XDP = 6, FPD_LINK_TCX = 11 };

/* Where fpd's filter stands in clsact. */
enum { FPD_TC_PRIORITY = 0x6670, FPD_TC_HANDLE = 1 };

/* A map's descriptor, or -errno. */
int fpd_map_create(enum bpf_map_type type, const char *name, uint32_t value_size, uint32_t entries);

/* The variable `name` of the section .rodata, to be written before loading; NULL when there is none. */
void *fpd_bpf_constant(struct bpf_object *object, const char *name, size_t *size);

/* A link's descriptor, or -errno. */
int fpd_xdp_link(int program, uint32_t ifindex, bool generic);
int fpd_tcx_link(int program, uint32_t ifindex);

/* The id of the program in one of the XDP modes of a device, 0 for none; -errno. */
int64_t fpd_xdp_program(uint32_t ifindex, bool generic);
/* Whether the program is among those on the TCX ingress hook; -errno. */
int fpd_tcx_has(uint32_t ifindex, uint32_t program);

/* 1: made; 0: it was there; -errno. */
int fpd_clsact_make(uint32_t ifindex);
/* Removes the qdisc unless somebody else has filters in it. 0 or -errno. */
int fpd_clsact_remove(uint32_t ifindex);
/* 0 or -errno. */
int fpd_clsact_attach(uint32_t ifindex, int program);
int fpd_clsact_detach(uint32_t ifindex);
/* The id of the program in fpd's place, 0 for none; -errno. */
int64_t fpd_clsact_program(uint32_t ifindex);

struct fpd_link {
	uint32_t type;
	uint32_t program;
	uint32_t ifindex;     /* 0: the device is gone */
	uint32_t attach_type; /* TCX only */
};
int fpd_link_read(int link, struct fpd_link *found);

struct fpd_program {
	uint32_t id;
	uint32_t instructions; /* after the verifier */
	uint32_t maps[16];
	uint32_t maps_count;
	char name[16];
};
int fpd_program_read(int program, struct fpd_program *found);

struct fpd_map {
	uint32_t id;
	uint32_t type;
	uint32_t value_size;
	uint32_t entries;
	char name[16];
};
int fpd_map_read(int map, struct fpd_map *found);

/* One run of a program; `size` is in and out. The program's answer, or -errno. */
int64_t fpd_xdp_run(int program, uint32_t ifindex, const void *in, uint32_t in_size,
		    uint32_t metadata, void *out, uint32_t *size, uint32_t *metadata_out);
int64_t fpd_tc_run(int program, uint32_t ifindex, const void *in, uint32_t in_size, void *out,
		   uint32_t *size, uint32_t cb[5]);

/* Runs a program `times` times on one frame; nanoseconds for each, or -errno. */
int64_t fpd_bpf_time(int program, const void *in, uint32_t in_size, int times);

/* Mounts a bpffs; 0 or -errno. */
int fpd_bpffs_mount(const char *path);
/* 1: a bpffs is mounted there; 0: not; -errno. */
int fpd_bpffs_is(const char *path);

#endif
