/* SPDX-License-Identifier: Apache-2.0 */
#include "CBPFShadow.h"

#include <bpf/btf.h>

int fpd_enumeration(const char *name, void (*each)(void *context, uint32_t value, const char *name),
		    void *context)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	if (!kernel)
		return -1;
	int32_t id = btf__find_by_name_kind(kernel, name, BTF_KIND_ENUM);
	if (id >= 0) {
		const struct btf_type *type = btf__type_by_id(kernel, (uint32_t)id);
		const struct btf_enum *values = btf_enum(type);
		for (uint16_t i = 0; i < btf_vlen(type); i++)
			each(context, (uint32_t)values[i].val,
			     btf__name_by_offset(kernel, values[i].name_off));
	}
	btf__free(kernel);
	return id < 0 ? -1 : 0;
}
