/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LAST_POSSIBLE = 63 };

/* Of the calling thread: there is no call for a whole process. */
static int limit_to(uint64_t kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	if (syscall(SYS_capget, &header, data))
		return errno;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		uint32_t word = (uint32_t)(kept >> 32 * i);
		data[i].permitted &= word;
		data[i].effective &= word;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) ? errno : 0;
}

int fpd_keep_capabilities(uint64_t kept)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* nobody who may not set it has to: no new privileges are granted in any case */
	for (int capability = 0; capability <= LAST_POSSIBLE; capability++)
		if (!(kept >> capability & 1))
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	return limit_to(kept);
}

struct start {
	pid_t *child;
	const char *path;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attributes;
	char *const *arguments, *const *environment;
	uint64_t kept;
	int result;
};

static void *start_limited(void *context)
{
	struct start *start = context;
	start->result = limit_to(start->kept);
	if (start->result == 0)
		start->result =
			posix_spawn(start->child, start->path, start->actions, start->attributes,
				    start->arguments, start->environment);
	return NULL;
}

int fpd_spawn_limited(pid_t *child, const char *path, const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attributes, char *const *arguments,
		      char *const *environment, uint64_t kept)
{
	struct start start = {
		.child = child,
		.path = path,
		.actions = actions,
		.attributes = attributes,
		.arguments = arguments,
		.environment = environment,
		.kept = kept,
	};
	pthread_t thread;
	int result = pthread_create(&thread, NULL, start_limited, &start);
	if (result == 0)
		result = pthread_join(thread, NULL);
	return result ? result : start.result;
}
