/* SPDX-License-Identifier: Apache-2.0 */
#include "CBPFAttach.h"

#include <bpf/btf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { PROGRAMS_MAX = 64 }; /* BPF_MPROG_MAX: on one hook of one device */

int fpd_map_create(enum bpf_map_type type, const char *name, uint32_t value_size, uint32_t entries)
{
	uint32_t key_size = type == BPF_MAP_TYPE_RINGBUF ? 0 : sizeof(uint32_t);
	return bpf_map_create(type, name, key_size, value_size, entries, NULL);
}

void *fpd_bpf_constant(struct bpf_object *object, const char *name, size_t *size)
{
	const struct btf *btf = bpf_object__btf(object);
	int section = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;
	if (section < 0)
		return NULL;
	struct bpf_map *map, *constants = NULL;
	bpf_object__for_each_map(map, object)
	{
		const char *suffix = strstr(bpf_map__name(map), ".rodata");
		if (suffix && !strcmp(suffix, ".rodata"))
			constants = map;
	}
	size_t room = 0;
	char *start = constants ? (char *)bpf_map__initial_value(constants, &room) : NULL;
	const struct btf_type *type = btf__type_by_id(btf, (uint32_t)section);
	const struct btf_var_secinfo *variable = btf_var_secinfos(type);
	for (uint32_t i = 0; start && i < btf_vlen(type); i++, variable++) {
		const struct btf_type *named = btf__type_by_id(btf, variable->type);
		const char *here = btf__name_by_offset(btf, named->name_off);
		if (!here || strcmp(here, name) || variable->offset > room ||
		    variable->size > room - variable->offset)
			continue;
		*size = variable->size;
		return start + variable->offset;
	}
	return NULL;
}

int fpd_xdp_link(int program, uint32_t ifindex, bool generic)
{
	LIBBPF_OPTS(bpf_link_create_opts, options,
		    .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	return bpf_link_create(program, (int)ifindex, BPF_XDP, &options);
}

int fpd_tcx_link(int program, uint32_t ifindex)
{
	return bpf_link_create(program, (int)ifindex, (enum bpf_attach_type)FPD_TCX_INGRESS, NULL);
}

int64_t fpd_xdp_program(uint32_t ifindex, bool generic)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, options);
	int error = bpf_xdp_query((int)ifindex, 0, &options);
	if (error)
		return error;
	return generic ? options.skb_prog_id : options.drv_prog_id;
}

int fpd_tcx_has(uint32_t ifindex, uint32_t program)
{
	uint32_t ids[PROGRAMS_MAX] = { 0 }, count = PROGRAMS_MAX;
	int error = bpf_prog_query((int)ifindex, (enum bpf_attach_type)FPD_TCX_INGRESS, 0, NULL,
				   ids, &count);
	if (error)
		return error;
	for (uint32_t i = 0; i < count && i < PROGRAMS_MAX; i++)
		if (ids[i] == program)
			return 1;
	return 0;
}

int fpd_clsact_make(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	int error = bpf_tc_hook_create(&hook);
	if (error == -EEXIST)
		return 0;
	return error ? error : 1;
}

int fpd_clsact_attach(uint32_t ifindex, int program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program, .handle = FPD_TC_HANDLE,
		    .priority = FPD_TC_PRIORITY);
	return bpf_tc_attach(&hook, &options);
}

int fpd_clsact_detach(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = FPD_TC_HANDLE, .priority = FPD_TC_PRIORITY);
	return bpf_tc_detach(&hook, &options);
}

int64_t fpd_clsact_program(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = FPD_TC_HANDLE, .priority = FPD_TC_PRIORITY);
	int error = bpf_tc_query(&hook, &options);
	if (error == -ENOENT || error == -EINVAL)
		return 0; /* no such filter; no such qdisc */
	return error ? error : (int64_t)options.prog_id;
}

/* How many filters there are below one hook of clsact; -errno. */
static int filters(int socket, uint32_t ifindex, uint32_t parent)
{
	struct {
		struct nlmsghdr header;
		struct tcmsg filter;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = RTM_GETTFILTER,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.filter = { .tcm_family = AF_UNSPEC,
			    .tcm_ifindex = (int)ifindex,
			    .tcm_parent = parent },
	};
	static char answer[1 << 15];
	int found = 0;
	if (send(socket, &request, sizeof(request), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t length = recv(socket, answer, sizeof(answer), 0);
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return length ? -errno : -EIO;
		uint32_t rest = (uint32_t)length;
		for (struct nlmsghdr *message = (struct nlmsghdr *)answer; NLMSG_OK(message, rest);
		     message = NLMSG_NEXT(message, rest)) {
			if (message->nlmsg_type == NLMSG_DONE)
				return found;
			if (message->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(message))->error;
			found++;
		}
	}
}

int fpd_clsact_remove(uint32_t ifindex)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (netlink < 0)
		return -errno;
	int ingress = filters(netlink, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
	int egress = filters(netlink, ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));
	close(netlink);
	if (ingress || egress)
		return ingress < 0 ? ingress : egress < 0 ? egress : 0;
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	return bpf_tc_hook_destroy(&hook);
}

int fpd_link_read(int link, struct fpd_link *found)
{
	struct bpf_link_info information = { 0 };
	uint32_t size = sizeof(information);
	int error = bpf_obj_get_info_by_fd(link, &information, &size);
	if (error)
		return error;
	found->type = information.type;
	found->program = information.prog_id;
	/* TCX tells { ifindex, attach_type } where other links tell other things. */
	found->ifindex = information.xdp.ifindex;
	found->attach_type = information.netns.attach_type;
	return 0;
}

int fpd_program_read(int program, struct fpd_program *found)
{
	struct bpf_prog_info information = { 0 };
	uint32_t size = sizeof(information);
	information.nr_map_ids = sizeof(found->maps) / sizeof(found->maps[0]);
	information.map_ids = (uintptr_t)found->maps;
	int error = bpf_obj_get_info_by_fd(program, &information, &size);
	if (error)
		return error;
	found->id = information.id;
	found->instructions = information.xlated_prog_len / 8;
	found->maps_count = information.nr_map_ids;
	memcpy(found->name, information.name, sizeof(found->name));
	return 0;
}

int fpd_map_read(int map, struct fpd_map *found)
{
	struct bpf_map_info information = { 0 };
	uint32_t size = sizeof(information);
	int error = bpf_obj_get_info_by_fd(map, &information, &size);
	if (error)
		return error;
	found->id = information.id;
	found->type = information.type;
	found->value_size = information.value_size;
	found->entries = information.max_entries;
	memcpy(found->name, information.name, sizeof(found->name));
	return 0;
}

int64_t fpd_xdp_run(int program, uint32_t ifindex, const void *in, uint32_t in_size,
		    uint32_t metadata, void *out, uint32_t *size, uint32_t *metadata_out)
{
	struct xdp_md context = { .data = metadata,
				  .data_end = in_size,
				  .ingress_ifindex = ifindex },
		      after = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = in_size,
		    .data_out = out, .data_size_out = *size, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .ctx_out = &after,
		    .ctx_size_out = sizeof(after));
	int error = bpf_prog_test_run_opts(program, &options);
	if (error)
		return error;
	*size = options.data_size_out;
	*metadata_out = after.data - after.data_meta;
	return options.retval;
}

int64_t fpd_bpf_time(int program, const void *in, uint32_t in_size, int times)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = in_size,
		    .repeat = times);
	int error = bpf_prog_test_run_opts(program, &options);
	return error ? error : (int64_t)options.duration;
}

int64_t fpd_tc_run(int program, uint32_t ifindex, const void *in, uint32_t in_size, void *out,
		   uint32_t *size, uint32_t cb[5])
{
	struct __sk_buff context = { .ifindex = ifindex, .ingress_ifindex = ifindex },
			 after = { 0 };
	memcpy(context.cb, cb, sizeof(context.cb));
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in, .data_size_in = in_size,
		    .data_out = out, .data_size_out = *size, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .ctx_out = &after,
		    .ctx_size_out = sizeof(after));
	int error = bpf_prog_test_run_opts(program, &options);
	if (error)
		return error;
	*size = options.data_size_out;
	memcpy(cb, after.cb, sizeof(after.cb));
	return options.retval;
}

int fpd_bpffs_mount(const char *path)
{
	return mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") ? -errno
											: 0;
}

int fpd_bpffs_is(const char *path)
{
	struct statfs found;
	if (statfs(path, &found))
		return -errno;
	return found.f_type == BPF_FS_MAGIC;
}
