/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "unix-peer.h"

#include <stddef.h>
#include <sys/socket.h>

int fpd_peer_of(int descriptor, struct fpd_peer *peer)
{
	struct ucred seen;
	socklen_t size = sizeof(seen);

	if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &seen, &size) < 0)
		return -1;
	peer->pid = seen.pid;
	peer->uid = seen.uid;
	peer->gid = seen.gid;
	return 0;
}

int fpd_accept(int descriptor)
{
	return accept4(descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}
