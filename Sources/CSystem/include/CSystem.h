/* SPDX-License-Identifier: Apache-2.0 */
/* System calls and macros that Swift cannot import by itself. */
#ifndef FPD_CSYSTEM_H
#define FPD_CSYSTEM_H

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/un.h>

#include "CSystemLab.h"

#endif
