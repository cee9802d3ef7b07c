/* SPDX-License-Identifier: Apache-2.0 */
/* What a process may do beyond its user, and how it gives that up. A bit for each CAP_ number. */
#ifndef FPD_CAPABILITIES_H
#define FPD_CAPABILITIES_H

#include <spawn.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The calling thread, those that it starts, and programs that these run, will have no other capabilities than
 * these, of those that it has. 0 or an error number.
 */
int fpd_keep_capabilities(uint64_t kept);

/*
 * posix_spawn() of a program that has no other capabilities than these: the thread that starts it has given the rest
 * up. That root gets them back by running a program is prevented by fpd_keep_capabilities().
 */
int fpd_spawn_limited(pid_t *child, const char *path, const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attributes, char *const *arguments,
		      char *const *environment, uint64_t kept);

#endif
