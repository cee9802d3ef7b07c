/* SPDX-License-Identifier: Apache-2.0 */
/* Where the kernel's BTF says that things lie. */
#ifndef FPD_CBPF_TYPES_H
#define FPD_CBPF_TYPES_H

#include <bpf/btf.h>
#include <stddef.h>
#include <stdint.h>

enum { FPD_BTF_STRUCT = 1, FPD_BTF_FUNCTION = 2 };

/*
 * The ids of many types by one walk over all of them: ids[i] becomes that of the first type named
 * names[i] of kind kinds[i] whose id is at least `first`, unless it is known already (not 0). 0, or -1
 * without memory.
 */
int fpd_btf_find(const struct btf *btf, uint32_t first, const char *const *names,
		 const uint8_t *kinds, uint32_t *ids, size_t count);

struct fpd_btf_member {
	uint32_t type;
	uint32_t bit_offset; /* from the beginning of the structure asked about */
	uint32_t bit_size;   /* 0: no bit-field */
};

/* A member, also one of an anonymous structure inside; 0, or -1 when there is none of that name. */
int fpd_btf_member_find(const struct btf *btf, uint32_t structure, const char *name,
			struct fpd_btf_member *found);

/* The size of a type in bytes, negative when it has none. */
int64_t fpd_btf_size(const struct btf *btf, uint32_t type);

/* The number that an enumeration gives a name; negative when it does not. */
int fpd_btf_enumerator(const struct btf *btf, const char *type_name, const char *name,
		       int64_t *value);

/* Where a variable lies in the part that every processor has a copy of; negative when there is none. */
int64_t fpd_btf_percpu(const struct btf *btf, const char *name);

#endif
