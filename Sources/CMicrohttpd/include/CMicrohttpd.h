/* SPDX-License-Identifier: Apache-2.0 */
/* What Swift cannot call of libmicrohttpd: functions that take any number of arguments, and constants that
 * have other names in Swift from one version to the next. */
#ifndef FPD_CMICROHTTPD_H
#define FPD_CMICROHTTPD_H

#include <stddef.h>
#include <sys/socket.h>

#include <microhttpd.h>

static const enum MHD_Result fpd_http_yes = MHD_YES;
static const enum MHD_Result fpd_http_no = MHD_NO;

struct fpd_http_limits {
	unsigned int connections;
	unsigned int idle_seconds; /* a connection that is silent for so long is closed */
	size_t memory;		   /* for each connection */
};

/* Serves what connects to a listening socket, without a thread of its own: MHD_run() does all there is
 * to do. NULL when there is no memory or no descriptor for it. */
struct MHD_Daemon *fpd_http_start(int listener, struct fpd_http_limits limits,
				  MHD_AccessHandlerCallback handler, void *context);

/* Readable when MHD_run() has work; -1 when there is none. */
int fpd_http_descriptor(struct MHD_Daemon *daemon);

/* An answer with a copy of the text; NULL when there is no memory. */
struct MHD_Response *fpd_http_response(const void *text, size_t length);

#endif
