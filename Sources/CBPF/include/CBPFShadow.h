/* SPDX-License-Identifier: Apache-2.0 */
/* What shadow mode needs of the kernel's types. */
#ifndef FPD_CBPF_SHADOW_H
#define FPD_CBPF_SHADOW_H

#include <stddef.h>
#include <stdint.h>

#include "../../../fpm/live/note.h"

/*
 * Calls `each` with the number and the name of every value of an enumeration of the kernel's. -1 where it
 * has none of that name.
 */
int fpd_enumeration(const char *name, void (*each)(void *context, uint32_t value, const char *name),
		    void *context);

#endif
