/* SPDX-License-Identifier: Apache-2.0 */
/* aq.conf: what the administrator says.  One table in conf.c names every key
 * with its type, unit, default and one line of documentation; aq.conf(5) and
 * `aq doctor` are made from the same table.
 */
#ifndef AQ_CONF_H
#define AQ_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/domain.h"
#include "common/err.h"
#include "common/str.h"

#define AQ_CONF_PATH AQ_SYSCONFDIR "/slurm/aq.conf"

/* One channel of the map: requests say the name, clients get the URL. */
struct aq_channel {
	char *name;
	char *url; /* http, https or file; never with credentials */
};

struct aq_conf {
	char *path;      /* the file it came from, or NULL: defaults only */
	char *node;      /* what %n stood for */
	char *cache_dir; /* absolute, %n and %h expanded, no trailing slash */
	char *run_dir;   /* the same */
	char *public_dir; /* run_dir "-public": what users may read */

	/* Whose cache this is.  A private one (common/private.h) has directories
	 * of its own in the three above, and these are the node's; else NULL.
	 */
	struct aq_domain domain;
	struct aq_conf *site;
	enum aq_policy policy[AQ_INPUT_N];

	char *builder_user; /* runs the client phase */
	char *probe_user;   /* runs the probe phase */

	char *client;     /* "auto", a dialect's name, or a program's path */
	char *pip_client; /* "auto", "uv", "pip", or a program's path */

	struct aq_channel *channels; /* in the administrator's order */
	size_t n_channels;
	char *pip_index;            /* URL, or "" for none */
	struct aq_strv find_links;  /* directories or URLs */
	char *ca_bundle;            /* path, or "" */
	char *proxy;       /* URL, or ""; the only one with credentials */
	char *credentials; /* path (common/credentials.h), or "" */
	char *shared_dir;  /* path (builder/shared_dir.h), or "" */

	struct aq_strv bases; /* "3.11=FILE": for `aq base sync` */
	struct aq_strv virtuals; /* "__cuda=12.4" (common/host.h) */
	char *default_python; /* "3.12": for pip requirements without one */

	uint64_t build_timeout; /* seconds; for one build, both phases */
	/* of one build (builder/limits.c); 0: no such limit */
	uint64_t build_memory; /* bytes */
	uint64_t build_cpus;   /* processors */
	uint64_t build_disk;   /* bytes that it writes */
	uint64_t prefetch;      /* 1: prologs have built what their job asks for */
	uint64_t failure_ttl;   /* seconds a verdict about a request is kept */

	/* what is fair (builder/queue.h, builder/allowance.c); 0: no such limit */
	uint64_t max_builds;      /* that run at once, root's not counted */
	uint64_t max_builds_user; /* of one user */
	uint64_t max_new_keys;    /* a user has built in an hour */

	/* collecting (common/collect.h); 0: no such limit */
	uint64_t max_size; /* bytes that cache_dir may hold */
	uint64_t min_free; /* bytes that its file system shall have free */
	uint64_t max_age;  /* seconds since the last use */
	uint64_t grace;    /* seconds since it was built or used */
	uint64_t user_quota; /* bytes that one user's environments may hold */

	uint64_t max_workflows; /* a user has; 0: there are none */

	uint64_t stamp; /* aq_hash() of the file's bytes */
	struct aq_strv warnings; /* unknown keys and the like, FILE:LINE: … */
};

/* Read 'path' (NULL: AQ_CONF_PATH; if that default is absent, the defaults
 * alone).  'node' is what %n stands for (NULL: SLURMD_NODENAME of this
 * process, else the host name's first label).  Unknown keys become warnings
 * (an error is for `aq doctor` to make of them); a bad value is an error that
 * names FILE:LINE and what to write instead.
 * Returns 0 and sets *ret (free with aq_conf_free()), or fails with AQ_USER
 * (the file says something wrong) or AQ_SYS (cannot be read), *ret untouched.
 * As root the file and each directory above it must be owned by root and
 * writable by nobody else, else AQ_SYS.
 */
AQ_CHECK int aq_conf_load(const char *path, const char *node,
			  struct aq_conf **ret, struct aq_err *err);

/* The same for somebody without root: cache_dir and run_dir are replaced by
 * directories of their own ($XDG_CACHE_HOME/slurm-aq, else ~/.cache/slurm-aq,
 * with run/ below it), builder_user and probe_user by themselves.
 */
AQ_CHECK int aq_conf_load_personal(const char *path, struct aq_conf **ret,
				   struct aq_err *err);

void aq_conf_free(struct aq_conf *conf);
DEFINE_CLEANUP(aq_conf);
#define cleanup_conf __attribute__((cleanup(aq_conf_cleanup_)))

/* The channel of that name (or with that URL, trailing slashes aside), or
 * NULL.  Owned by 'conf'.
 */
const struct aq_channel *aq_conf_channel(const struct aq_conf *conf,
					 const char *name_or_url);

#endif
