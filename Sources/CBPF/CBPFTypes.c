/* SPDX-License-Identifier: Apache-2.0 */
#include "CBPFTypes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NESTING_MAX = 8 };

static uint32_t hash(const char *text)
{
	uint32_t value = 2166136261u;
	for (; *text; text++)
		value = (value ^ (uint8_t)*text) * 16777619u;
	return value;
}

static uint8_t kind_of(const struct btf_type *type)
{
	switch (btf_kind(type)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return FPD_BTF_STRUCT;
	case BTF_KIND_FUNC:
		return FPD_BTF_FUNCTION;
	default:
		return 0;
	}
}

int fpd_btf_find(const struct btf *btf, uint32_t first, const char *const *names,
		 const uint8_t *kinds, uint32_t *ids, size_t count)
{
	size_t room = 64;
	while (room < count * 4)
		room *= 2;
	/* Places in `names`, plus one, by the hash of the name. */
	uint32_t *table = calloc(room, sizeof(*table));
	if (!table)
		return -1;
	for (size_t i = 0; i < count; i++) {
		size_t place = hash(names[i]) & (room - 1);
		while (table[place])
			place = (place + 1) & (room - 1);
		table[place] = (uint32_t)i + 1;
	}
	uint32_t end = btf__type_cnt(btf);
	for (uint32_t id = first ? first : 1; id < end; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		uint8_t kind = kind_of(type);
		if (!kind || !type->name_off)
			continue;
		const char *name = btf__name_by_offset(btf, type->name_off);
		for (size_t place = hash(name) & (room - 1); table[place];
		     place = (place + 1) & (room - 1)) {
			size_t i = table[place] - 1;
			if (!ids[i] && kinds[i] == kind && !strcmp(names[i], name))
				ids[i] = id;
		}
	}
	free(table);
	return 0;
}

static uint32_t strip(const struct btf *btf, uint32_t id)
{
	for (int depth = 0; depth < 32; depth++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		if (!type || !(btf_is_mod(type) || btf_is_typedef(type)))
			break;
		id = type->type;
	}
	return id;
}

static bool find(const struct btf *btf, uint32_t structure, const char *name, uint32_t base,
		 int depth, struct fpd_btf_member *found)
{
	const struct btf_type *type = btf__type_by_id(btf, strip(btf, structure));
	if (!type || !btf_is_composite(type) || depth > NESTING_MAX)
		return false;
	const struct btf_member *members = btf_members(type);
	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		uint32_t offset = base + btf_member_bit_offset(type, i);
		const char *here = btf__name_by_offset(btf, members[i].name_off);
		if (here && !strcmp(here, name)) {
			found->type = members[i].type;
			found->bit_offset = offset;
			found->bit_size = btf_member_bitfield_size(type, i);
			return true;
		}
		if ((!here || !*here) && find(btf, members[i].type, name, offset, depth + 1, found))
			return true;
	}
	return false;
}

int fpd_btf_member_find(const struct btf *btf, uint32_t structure, const char *name,
			struct fpd_btf_member *found)
{
	return find(btf, structure, name, 0, 0, found) ? 0 : -1;
}

int64_t fpd_btf_size(const struct btf *btf, uint32_t type)
{
	return btf__resolve_size(btf, type);
}

int fpd_btf_enumerator(const struct btf *btf, const char *type_name, const char *name,
		       int64_t *value)
{
	int id = btf__find_by_name_kind(btf, type_name, BTF_KIND_ENUM);
	if (id < 0)
		return -1;
	const struct btf_type *type = btf__type_by_id(btf, (uint32_t)id);
	const struct btf_enum *named = btf_enum(type);
	for (uint32_t i = 0; i < btf_vlen(type); i++) {
		const char *found = btf__name_by_offset(btf, named[i].name_off);
		if (found && strcmp(found, name) == 0) {
			*value = named[i].val;
			return 0;
		}
	}
	return -1;
}

int64_t fpd_btf_percpu(const struct btf *btf, const char *name)
{
	int section = btf__find_by_name_kind(btf, ".data..percpu", BTF_KIND_DATASEC);
	if (section < 0)
		return -1;
	const struct btf_type *type = btf__type_by_id(btf, (uint32_t)section);
	const struct btf_var_secinfo *variables = btf_var_secinfos(type);
	for (uint16_t i = 0; i < btf_vlen(type); i++) {
		const struct btf_type *variable = btf__type_by_id(btf, variables[i].type);
		const char *found = btf__name_by_offset(btf, variable->name_off);
		if (found && strcmp(found, name) == 0)
			return variables[i].offset;
	}
	return -1;
}
