/* SPDX-License-Identifier: Apache-2.0 */
#include "common/answer_fill.h"

#include <stdio.h>
#include <string.h>

static void add_variables(struct aq_str *ops, const struct aq_request *req)
{
	for (size_t i = 0; i < req->variables.n; i++) {
		const char *var = req->variables.v[i];
		const char *eq = strchr(var, '=');
		cleanup_free char *name = NULL;

		if (!eq)
			continue;
		name = strndup(var, (size_t)(eq - var));
		if (!name)
			ops->broken = ENOMEM;
		else
			aq_envops_add(ops, AQ_ENVOP_SET, name, eq + 1);
	}
}

int aq_answer_fill(struct aq_answer *a, const struct aq_conf *conf,
		   const struct aq_env *env, const char *key,
		   const struct aq_request *req, const char *resolution,
		   struct aq_err *err)
{
	cleanup_str struct aq_str ops = AQ_STR_INIT(AQ_ENVOPS_MAX);
	int n = snprintf(a->prefix, sizeof(a->prefix), "%s/envs/%s",
			 conf->cache_dir, env->name);
	char made[AQ_ENV_MADE_SIZE];
	int rc;

	aq_env_say_made(env, made);
	if (n < 0 || (size_t)n >= sizeof(a->prefix) ||
	    !aq_copy_text(a->key, sizeof(a->key), key) ||
	    !aq_copy_text(a->lock, sizeof(a->lock), env->lock) ||
	    !aq_copy_text(a->resolution, sizeof(a->resolution), resolution) ||
	    !aq_copy_text(a->made, sizeof(a->made), made))
		return aq_fail(err, AQ_SYS, "the answer does not fit");
	if (aq_answer_is_gone(a))
		return aq_fail(err, AQ_MISS, "'%s' is gone", a->prefix);
	aq_str_add_mem(&ops, env->ops, env->ops_len);
	aq_envops_add(&ops, AQ_ENVOP_SET, "AQ_ENV_PREFIX", a->prefix);
	aq_envops_add(&ops, AQ_ENVOP_SET, "AQ_ENV_KEY", key);
	aq_envops_add(&ops, AQ_ENVOP_SET, "AQ_LOCK", env->lock);
	aq_envops_add(&ops, AQ_ENVOP_SET, "AQ_RESOLUTION", resolution);
	add_variables(&ops, req);
	rc = aq_str_done(&ops, "the environment's activation", err);
	if (rc)
		return rc;
	memcpy(a->ops, aq_str_get(&ops), ops.len);
	a->ops_len = (uint32_t)ops.len;
	a->magic = AQ_ANSWER_MAGIC;
	a->class = AQ_OK;
	__atomic_store_n(&a->done, 1, __ATOMIC_RELEASE);
	return 0;
}
