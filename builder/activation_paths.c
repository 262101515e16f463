/* SPDX-License-Identifier: Apache-2.0 */
/* What captured variables may name.  An environment is shared by people who did
 * not write it: nothing that it sets may lead their programs to what another
 * user can change.
 */
#include <stdio.h>
#include <string.h>

#include "builder/activation.h"
#include "common/envops.h"
#include "common/text.h"
#include "common/trust.h"

#define ITEM_MAX 4096 /* PATH_MAX: what is longer names no file */

enum rule {
	SEARCH, /* a list: prefix, base, root's; "" would be where one is */
	SHARE,  /* the same, and "" says "and the usual places" */
	CODE,   /* what is loaded or run: only of prefix and base */
	WORD,   /* no path, or as CODE */
	NEVER,
};

/* By name, the first that fits; "*" at its end: whatever follows. */
static const struct variable {
	const char *name;
	enum rule rule;
} variables[] = {
	{ "LD_LIBRARY_PATH", SEARCH },
	{ "LD_PRELOAD", CODE },
	{ "LD_AUDIT", CODE },
	{ "LD_*", WORD },
	{ "PYTHONPATH", SEARCH },
	{ "PYTHONHOME", CODE },
	{ "PYTHONSTARTUP", CODE },
	{ "PYTHONUSERBASE", CODE },
	{ "PYTHON*", WORD },
	{ "BASH_ENV", CODE },
	{ "ENV", CODE },
	{ "GCONV_PATH", CODE },
	{ "PROMPT_COMMAND", NEVER },
	{ "AQ_*", NEVER },
	{ "SLURM*", NEVER },
	{ "SPANK*", NEVER },
	{ "PATH", SEARCH },
	{ "LIBPATH", SEARCH },
	{ "LIBRARY_PATH", SEARCH },
	{ "COMPILER_PATH", SEARCH },
	{ "CPATH", SEARCH },
	{ "C_INCLUDE_PATH", SEARCH },
	{ "CPLUS_INCLUDE_PATH", SEARCH },
	{ "PERL5LIB", SEARCH },
	{ "PERLLIB", SEARCH },
	{ "RUBYLIB", SEARCH },
	{ "NODE_PATH", SEARCH },
	{ "CLASSPATH", SEARCH },
	{ "JAVA_LD_LIBRARY_PATH", SEARCH },
	{ "R_LIBS", SEARCH },
	{ "R_LIBS_SITE", SEARCH },
	{ "R_HOME", CODE },
	{ "PKG_CONFIG_PATH", SEARCH },
	{ "PKG_CONFIG_LIBDIR", SEARCH },
	{ "CMAKE_PREFIX_PATH", SEARCH },
	{ "CMAKE_MODULE_PATH", SEARCH },
	{ "ACLOCAL_PATH", SEARCH },
	{ "MODULEPATH", SEARCH },
	{ "GI_TYPELIB_PATH", SEARCH },
	{ "GIO_MODULE_DIR", SEARCH },
	{ "GIO_EXTRA_MODULES", SEARCH },
	{ "GTK_PATH", SEARCH },
	{ "GST_PLUGIN_PATH", SEARCH },
	{ "GST_PLUGIN_SYSTEM_PATH", SEARCH },
	{ "QT_PLUGIN_PATH", SEARCH },
	{ "OPENSSL_CONF", SEARCH },
	{ "OPENSSL_MODULES", SEARCH },
	{ "OPENSSL_ENGINES", SEARCH },
	{ "OCL_ICD_VENDORS", SEARCH },
	{ "VK_ICD_FILENAMES", SEARCH },
	{ "GDAL_DRIVER_PATH", SEARCH },
	{ "MANPATH", SHARE },
	{ "INFOPATH", SHARE },
	{ "XDG_DATA_DIRS", SHARE },
	{ "XDG_CONFIG_DIRS", SHARE },
};

static const enum rule *find_rule(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		const char *is = variables[i].name;
		size_t len = strlen(is);

		if (is[len - 1] == '*' ? strncmp(name, is, len - 1) == 0 :
					 strcmp(name, is) == 0)
			return &variables[i].rule;
	}
	return NULL;
}

/* Whether 'path' is 'dir' or in it. */
static bool is_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	int depth = 0;

	if (!len || strncmp(path, dir, len) != 0 ||
	    (path[len] && path[len] != '/'))
		return false;
	for (path += len; *path && depth >= 0; path += strcspn(path, "/")) {
		size_t n;

		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (n == 2 && strncmp(path, "..", 2) == 0)
			depth--;
		else if (n > 1 || (n == 1 && *path != '.'))
			depth++;
	}
	return depth >= 0;
}

static bool is_of_environment(const struct places *where, const char *path)
{
	return is_in(path, where->prefix) || is_in(path, where->base);
}

/* "\1NAME\2": what the task has there itself. */
static bool is_own_value(const struct aq_envop *op, const char *item)
{
	size_t len = strlen(op->name);

	return op->is_template && item[0] == AQ_ENVOPS_REF &&
	       strncmp(item + 1, op->name, len) == 0 &&
	       item[len + 1] == AQ_ENVOPS_REF_END && !item[len + 2];
}

static bool is_good(const struct places *where, const struct aq_envop *op,
		    enum rule rule, const char *item)
{
	if (rule == NEVER)
		return false;
	if (is_of_environment(where, item) || is_own_value(op, item))
		return true;
	if (rule == CODE)
		return !*item;
	if (rule == WORD)
		return !strchr(item, '/') && !strchr(item, AQ_ENVOPS_REF);
	if (!*item)
		return rule == SHARE;
	return !aq_path_climbs(item) && aq_trust_lasting(item, NULL) == 0;
}

struct check {
	const struct places *where;
	struct aq_err *err;
	int rc;
};

static bool refuse(struct check *c, const struct aq_envop *op,
		   const char *value, const char *why)
{
	char shown[AQ_SHOW_SIZE];

	c->rc = aq_fail(c->err, AQ_USER,
			"an activation script sets '%s' to '%s', %s: refused",
			op->name, aq_show(value, shown), why);
	return false;
}

/* Each item of the list; LD_PRELOAD takes spaces too (ld.so(8)). */
static bool check_items(struct check *c, const struct aq_envop *op,
			enum rule rule)
{
	const char *marks = strcmp(op->name, "LD_PRELOAD") == 0 ? ": " : ":";
	const char *p = op->value;

	for (;;) {
		size_t len = strcspn(p, marks);
		char item[ITEM_MAX];

		snprintf(item, sizeof(item), "%.*s", (int)len, p);
		if (len >= sizeof(item) || !is_good(c->where, op, rule, item))
			return refuse(c, op, item,
				      rule == NEVER ?
					      "which no package may" :
				      rule == CODE || rule == WORD ?
					      "which is not in the environment" :
					      "which others than root can change, or which is no absolute path");
		if (!p[len])
			return true;
		p += len + 1;
	}
}

/* Where it was built is gone, or another's, once it is used: in whatever it names
 * below cache_dir there is only the environment and its base.
 */
static bool check_places(struct check *c, const struct aq_envop *op)
{
	const char *cache = c->where->cache;
	size_t len = strlen(cache);

	for (const char *p = op->value; (p = strstr(p, cache)); p += len) {
		char path[ITEM_MAX];

		snprintf(path, sizeof(path), "%.*s",
			 (int)strcspn(p, ":;, \t\n\"'"), p);
		if (!strchr("/:;, \t\n\"'", p[len]) ||
		    is_of_environment(c->where, path))
			continue;
		return refuse(c, op, path, "a place of the build's");
	}
	return true;
}

static bool check_one(const struct aq_envop *op, void *arg)
{
	struct check *c = arg;
	const enum rule *rule = find_rule(op->name);

	if (op->kind == AQ_ENVOP_UNSET && (!rule || *rule != NEVER))
		return true;
	return check_places(c, op) && (!rule || check_items(c, op, *rule));
}

int activation_check(const struct places *where, const struct aq_str *ops,
		     struct aq_err *err)
{
	struct check c = { where, err, 0 };

	if (!aq_envops_each(aq_str_get(ops), ops->len, check_one, &c) && !c.rc)
		return aq_fail(err, AQ_SYS, "the activation is no list of operations");
	return c.rc;
}
