/* SPDX-License-Identifier: Apache-2.0 */
/* System calls and macros that Swift cannot import by itself. */
#ifndef FPD_CSYSTEM_H
#define FPD_CSYSTEM_H

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/un.h>

#include "CSystemLab.h"
#include "capabilities.h"
#include "unix-peer.h"

/* The number of a tracepoint, from tracefs wherever it is mounted, or from an instance of it that only
 * this call sees; -1 and errno where the kernel has none. */
int fpd_tracepoint_id(const char *category, const char *name);

/* A perf event that counts nothing but carries a BPF program for a tracepoint; -1 and errno. */
int fpd_tracepoint_open(int id);

/* A descriptor for a process, to wait for its end with poll; -1 and errno before 5.3. */
int fpd_pidfd_open(pid_t pid);

#endif
