/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf_table.h"

#include <stddef.h>

#define SECONDS_MAX (365ull * 24 * 3600)

/* Every key of aq.conf: aq.conf(5) is checked against this table. */
const struct aq_conf_key aq_conf_keys[] = {
	{ "cache_dir", AQ_CONF_DIR, offsetof(struct aq_conf, cache_dir),
	  "/var/lib/aq", 0, "directory",
	  "where environments and package caches lie; %n is the node's name, "
	  "%h the host's" },
	{ "run_dir", AQ_CONF_DIR, offsetof(struct aq_conf, run_dir), "/run/aq",
	  0, "directory",
	  "where references and locks lie; must be gone after a boot; %n and "
	  "%h as above" },
	{ "builder_user", AQ_CONF_NAME,
	  offsetof(struct aq_conf, builder_user), "aq-builder", 0, "account",
	  "runs the conda client" },
	{ "probe_user", AQ_CONF_NAME, offsetof(struct aq_conf, probe_user),
	  "aq-probe", 0, "account",
	  "runs a new environment's own programs when it is checked" },
	{ "client", AQ_CONF_TEXT, offsetof(struct aq_conf, client), "auto", 0,
	  "auto, rattler, micromamba, mamba, conda, aq-rattler or a path",
	  "the conda client" },
	{ "pip_client", AQ_CONF_TEXT, offsetof(struct aq_conf, pip_client),
	  "auto", 0, "auto, uv, pip or a path",
	  "what installs pip requirements" },
	{ "channels", AQ_CONF_CHANNELS, 0, "", 0, "name=URL …",
	  "the channels that requests may name, and where each lies" },
	{ "pip_index", AQ_CONF_TEXT, offsetof(struct aq_conf, pip_index), "",
	  0, "URL", "the package index of pip requirements" },
	{ "find_links", AQ_CONF_LIST, offsetof(struct aq_conf, find_links), "",
	  0, "directory or URL …", "more places with wheels" },
	{ "ca_bundle", AQ_CONF_TEXT, offsetof(struct aq_conf, ca_bundle), "",
	  0, "file", "certificates that clients trust" },
	{ "proxy", AQ_CONF_TEXT, offsetof(struct aq_conf, proxy), "", 0, "URL",
	  "the proxy that clients use" },
	{ "credentials", AQ_CONF_FILE, offsetof(struct aq_conf, credentials),
	  "", 0, "file",
	  "what private channels and indexes want, a netrc of root's alone" },
	{ "default_python", AQ_CONF_TEXT,
	  offsetof(struct aq_conf, default_python), "3.12", 0, "version",
	  "the Python of pip requirements that name none" },
	{ "base", AQ_CONF_LIST, offsetof(struct aq_conf, bases), "", 0,
	  "PYTHON=FILE …",
	  "the requests of the bases that 'aq base sync' makes" },
	{ "build_timeout", AQ_CONF_SECONDS,
	  offsetof(struct aq_conf, build_timeout), "1800", SECONDS_MAX,
	  "seconds", "after which a build is ended" },
	{ "failure_ttl", AQ_CONF_SECONDS,
	  offsetof(struct aq_conf, failure_ttl), "600", SECONDS_MAX,
	  "seconds", "for which an impossible request is remembered" },
	{ "max_builds", AQ_CONF_COUNT, offsetof(struct aq_conf, max_builds),
	  "2", 10000, "number",
	  "of builds that run at once; others queue, and users take turns; 0: "
	  "any" },
	{ "max_builds_user", AQ_CONF_COUNT,
	  offsetof(struct aq_conf, max_builds_user), "1", 10000, "number",
	  "of those, for one user; 0: any" },
	{ "max_new_keys", AQ_CONF_COUNT,
	  offsetof(struct aq_conf, max_new_keys), "200", 10000, "number",
	  "of environments that are built for a user within an hour; 0: any" },
	{ "max_size", AQ_CONF_SIZE, offsetof(struct aq_conf, max_size), "0",
	  UINT64_MAX / 2, "size",
	  "over which what was used least lately is collected; 0: never" },
	{ "min_free", AQ_CONF_SIZE, offsetof(struct aq_conf, min_free), "1G",
	  UINT64_MAX / 2, "size",
	  "that collecting keeps free on cache_dir's file system" },
	{ "max_age", AQ_CONF_SECONDS, offsetof(struct aq_conf, max_age),
	  "2592000", 100 * SECONDS_MAX, "seconds",
	  "after its last use an environment is collected; 0: never" },
	{ "grace", AQ_CONF_SECONDS, offsetof(struct aq_conf, grace), "3600",
	  SECONDS_MAX, "seconds",
	  "for which what was just built or used is not collected to make "
	  "room" },
	{ "user_quota", AQ_CONF_SIZE, offsetof(struct aq_conf, user_quota),
	  "0", UINT64_MAX / 2, "size",
	  "that environments built for one user may hold; 0: any" },
	{ "max_workflows", AQ_CONF_COUNT,
	  offsetof(struct aq_conf, max_workflows), "100", 100000, "number",
	  "of workflows that a user has here; over it the one submitted least "
	  "recently is forgotten; 0: none" },
};

const size_t aq_conf_n_keys = ARRAY_LEN(aq_conf_keys);
