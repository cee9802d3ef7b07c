/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FPD_CBPF_H
#define FPD_CBPF_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#endif
