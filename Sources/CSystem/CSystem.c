/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "CSystem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int read_number(int directory, const char *path)
{
	char text[32] = "";
	int file = openat(directory, path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -1;
	ssize_t count = read(file, text, sizeof(text) - 1);
	close(file);
	if (count <= 0)
		return -1;
	return atoi(text);
}

static int private_tracefs(void)
{
	int context = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	if (context < 0)
		return -1;
	int mount = -1;
	if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	close(context);
	return mount;
}

int fpd_tracepoint_id(const char *category, const char *name)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	char path[256];
	snprintf(path, sizeof(path), "events/%s/%s/id", category, name);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int directory = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (directory < 0)
			continue;
		int id = read_number(directory, path);
		close(directory);
		if (id > 0)
			return id;
	}
	int directory = private_tracefs();
	if (directory < 0)
		return -1;
	int id = read_number(directory, path);
	close(directory);
	return id;
}

int fpd_tracepoint_open(int id)
{
	struct perf_event_attr attributes;
	memset(&attributes, 0, sizeof(attributes));
	attributes.type = PERF_TYPE_TRACEPOINT;
	attributes.size = sizeof(attributes);
	attributes.config = (unsigned long long)id;
	/* pid -1, cpu 0: for a tracepoint that only runs a program the processor does not matter */
	return (int)syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
}

int fpd_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}
