/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/env.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/term.h"
#include "common/index.h"
#include "common/layout.h"

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
	json_number(j, "uid", env->uid);
	json_number(j, "size_own", env->size_own);
	json_number(j, "size_shared", env->size_shared);
	json_bool(j, "pinned", env->pinned);
	json_number(j, "package_count", env->packages);
}

void env_write_standing(struct json *j, const struct aq_listed *listed)
{
	json_number(j, "references", listed->references);
	json_number(j, "children", listed->children);
	json_bool(j, "current_base", listed->is_base);
	json_bool(j, "obsolete", listed->is_obsolete);
}

void env_print_item(const char *name, const char *value)
{
	printf("%-12s", name);
	term_print(stdout, value);
	putchar('\n');
}

const char *env_marks(const struct aq_listed *listed, char buf[ENV_MARKS_SIZE])
{
	snprintf(buf, ENV_MARKS_SIZE, "%s%s%s", listed->is_base ? " base" : "",
		 listed->env->pinned ? " pinned" : "",
		 listed->is_obsolete ? " obsolete" : "");
	return *buf ? buf + 1 : buf;
}

void env_publish(const struct cli *cli)
{
	struct aq_err err = { 0 };
	int rc;

	if (cli->is_personal)
		return;
	rc = aq_layout_prepare(cli->conf, &err);
	if (!rc)
		rc = aq_index_write(cli->conf, &err);
	if (!rc)
		return;
	term_print_in(stderr, TERM_YELLOW, "warning: ");
	fputs("'aq list --shared' goes on showing what was: ", stderr);
	term_print(stderr, err.text);
	fputc('\n', stderr);
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
