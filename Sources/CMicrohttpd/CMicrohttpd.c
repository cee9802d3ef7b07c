/* SPDX-License-Identifier: Apache-2.0 */
#include "CMicrohttpd.h"

struct MHD_Daemon *fpd_http_start(int listener, struct fpd_http_limits limits,
				  MHD_AccessHandlerCallback handler, void *context)
{
	return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, handler, context,
				MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
				limits.connections, MHD_OPTION_CONNECTION_TIMEOUT,
				limits.idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				limits.memory, MHD_OPTION_END);
}

int fpd_http_descriptor(struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	return info ? info->epoll_fd : -1;
}

struct MHD_Response *fpd_http_response(const void *text, size_t length)
{
	return MHD_create_response_from_buffer(length, (void *)text, MHD_RESPMEM_MUST_COPY);
}
