/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FPD_CYAML_H
#define FPD_CYAML_H

#include <yaml.h>

#endif
