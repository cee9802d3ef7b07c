/* SPDX-License-Identifier: Apache-2.0 */
/* What Unix sockets need of glibc's GNU side, which Swift's own module of glibc leaves out. */
#ifndef FPD_UNIX_PEER_H
#define FPD_UNIX_PEER_H

#include <stdint.h>

struct fpd_peer {
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
};

/* SO_PEERCRED; 0, or -1 with errno. */
int fpd_peer_of(int descriptor, struct fpd_peer *peer);

/* accept4() with SOCK_CLOEXEC and SOCK_NONBLOCK. */
int fpd_accept(int descriptor);

#endif
