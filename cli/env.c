/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/env.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

void env_write_json(struct json *j, const struct aq_env *env)
{
	json_text(j, "name", env->name);
	json_text(j, "kind", aq_env_kind_name(env->kind));
	json_text(j, "lock", env->lock);
	json_number(j, "generation", env->generation);
	json_text(j, "base", env->base[0] ? env->base : NULL);
	json_text(j, "reason", env->reason[0] ? env->reason : NULL);
	json_text(j, "python", env->python[0] ? env->python : NULL);
	json_number(j, "created", env->created);
	json_number(j, "last_used", env->last_used);
	json_number(j, "uses", env->uses);
	json_number(j, "build_ms", env->build_ms);
	json_number(j, "size_own", env->size_own);
	json_number(j, "size_shared", env->size_shared);
	json_bool(j, "pinned", env->pinned);
}

int env_open_store(const struct cli *cli, struct aq_store **ret,
		   struct aq_err *err)
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/cache.db", cli->conf->cache_dir);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return aq_fail(err, AQ_MISS, "there is no cache in '%s' yet",
			       cli->conf->cache_dir);
	rc = aq_store_open(cli->conf, AQ_STORE_READ, ret, err);
	if (rc == AQ_MISS && err)
		rc = err->class = AQ_SYS;
	return rc;
}
