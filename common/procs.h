/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes use an environment, by proc(5). */
#ifndef AQ_PROCS_H
#define AQ_PROCS_H

#include <stdbool.h>

#include "common/conf.h"

/* Whether any process has a file of environment 'name' mapped, or was started
 * in it (AQ_ENV_PREFIX).  What may not be looked at counts as a user.
 */
bool aq_procs_use(const struct aq_conf *conf, const char *name);

#endif
