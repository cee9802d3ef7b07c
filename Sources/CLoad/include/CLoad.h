/* SPDX-License-Identifier: Apache-2.0 */
/* What the lab needs of libbpf and of threads to load a link: programs attached to devices, live frames
 * sent by BPF_PROG_RUN, and threads that live in a namespace and on a CPU. */
#ifndef FPD_CLOAD_H
#define FPD_CLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../../bench/load.h"

/* An object file with one XDP program, opened; not loaded yet. */
struct load_object;

/* The object, or NULL and errno. */
struct load_object *load_open(const char *path);
void load_close(struct load_object *object);

/* What libbpf and the verifier said of the last failure; valid until the next call. */
const char *load_log(void);

/* Sets the program's only constant, which must be of this size. 0 or an errno. */
int load_set_constant(struct load_object *object, const void *value, size_t size);
/* Before loading. 0 or an errno. */
int load_set_entries(struct load_object *object, const char *map, uint32_t entries);
int load_share_map(struct load_object *object, const char *map, struct load_object *owner);
int load_load(struct load_object *object);

/* A map's values, or the program's variables (".bss"), shared with the kernel until load_close().
 * NULL and errno. */
void *load_values(struct load_object *object, const char *map, size_t *size);

/* Attaches the program to a device of the calling thread's namespace, in the driver. Whoever closes the
 * object detaches it. 0 or an errno. */
int load_attach(struct load_object *object, unsigned int ifindex);

/* Runs the program on so many live frames, in the calling thread's namespace. 0 or an errno. */
int load_run(struct load_object *object, void *frame, uint32_t length, uint32_t times,
	     uint32_t batch);

/* Runs the program so many times on a packet that goes nowhere, and says what it answered last. 0 or an
 * errno. */
int load_repeat(struct load_object *object, void *frame, uint32_t length, uint32_t times,
		uint32_t *answer);

enum load_kind { LOAD_PROGRAM, LOAD_MAP, LOAD_LINK };
enum { LOAD_NAME = 16 };

/* The id that follows this one in the kernel, 0 at the end. Nothing is opened. */
uint32_t load_next_id(enum load_kind kind, uint32_t id);
/* The name of a program. 0 or an errno. */
int load_program_name(uint32_t id, char name[LOAD_NAME]);
/* The name of a map, which is opened for it: not to be asked while its last holder may be going. A prog
 * array that is opened in that moment is never freed. 0 or an errno. */
int load_map_name(uint32_t id, char name[LOAD_NAME]);
/* The id of the program of a link, 0 if there is none. */
uint32_t load_link_program(uint32_t id);

/* A thread in a namespace (NULL: this one), on one CPU (negative: on any), with priority `nice`. */
struct load_thread;
struct load_thread *load_thread_start(const char *namespace_path, int cpu, int nice,
				      void (*body)(void *), void *argument);
/* Its number, 0 until it runs. */
pid_t load_thread_id(struct load_thread *thread);
/* Ends the call into the kernel that it is in, if any, with EINTR. */
void load_thread_interrupt(struct load_thread *thread);
/* Waits for its end. 0 or an errno with the step that failed before `body`. */
int load_thread_join(struct load_thread *thread, const char **step);

#endif
