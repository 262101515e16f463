/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/active.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/text.h"

#define CFG_MAX (64 * 1024)

void active_release(struct active *a)
{
	free(a->prefix);
	free(a->base);
}

static bool has(const char *prefix, const char *what)
{
	char path[PATH_MAX];
	int len = snprintf(path, sizeof(path), "%s/%s", prefix, what);

	return len > 0 && (size_t)len < sizeof(path) && access(path, F_OK) == 0;
}

bool active_is_conda(const char *prefix)
{
	return has(prefix, "conda-meta");
}

/* -- which one -- */

/* "PREFIX/bin/python3.11", wherever its links lead: PREFIX and 3.11.  What is no Python
 * by its name, but will choose one, has neither: its directory is in 'ret_prefix'.
 */
static bool find_python(const char *bin, char ret_prefix[PATH_MAX],
			char ret_version[16])
{
	static const char *const names[] = { "python3", "python" };
	char path[PATH_MAX], *slash;
	unsigned int minor;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int len = snprintf(path, sizeof(path), "%s/%s", bin, names[i]);

		if (len < 0 || (size_t)len >= sizeof(path) ||
		    access(path, X_OK) < 0 || !realpath(path, ret_prefix))
			continue;
		slash = strrchr(ret_prefix, '/');
		if (sscanf(slash + 1, "python3.%u", &minor) == 1)
			snprintf(ret_version, 16, "3.%u", minor % 1000);
		if (!strstr(slash + 1, "py")) { /* mise's: mise */
			snprintf(ret_prefix, PATH_MAX, "%s", bin);
			return true;
		}
		*slash = '\0';
		slash = strrchr(ret_prefix, '/');
		if (slash)
			*slash = '\0';
		return slash && *ret_prefix;
	}
	return false;
}

/* A Python that was not linked by its version: where its library is. */
static void find_library(const char *prefix, char ret_version[16])
{
	char path[PATH_MAX];
	cleanup_closedir DIR *d = NULL;
	unsigned int minor, newest = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/lib", prefix) <
	    sizeof(path))
		d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		char os[NAME_MAX + 16];

		if (sscanf(e->d_name, "python3.%u", &minor) != 1)
			continue;
		snprintf(os, sizeof(os), "lib/%s/os.py", e->d_name);
		if (minor > newest && has(prefix, os))
			newest = minor;
	}
	if (newest)
		snprintf(ret_version, 16, "3.%u", newest % 1000);
}

static int take(struct active *a, const char *prefix, enum active_kind kind,
		struct aq_err *err)
{
	a->kind = kind;
	a->prefix = strdup(prefix);
	return a->prefix ? 0 : aq_fail(err, AQ_SYS, "out of memory for a path");
}

/* The environment whose programs are in 'bin'.  AQ_MISS: none. */
static int take_bin(struct active *a, const char *bin, bool only_environments,
		    struct aq_err *err)
{
	char real[PATH_MAX], prefix[PATH_MAX], *slash;
	char show[AQ_SHOW_PATH_SIZE];

	if (!realpath(bin, real))
		return AQ_MISS;
	slash = strrchr(real, '/');
	if (slash != real && strcmp(slash, "/bin") == 0) {
		*slash = '\0';
		if (has(real, "pyvenv.cfg"))
			return take(a, real, ACTIVE_VENV, err);
		if (active_is_conda(real))
			return take(a, real, ACTIVE_CONDA, err);
		*slash = '/';
	}
	if (only_environments || !find_python(real, prefix, a->python))
		return AQ_MISS;
	if (!a->python[0])
		find_library(prefix, a->python);
	/* a pyenv's, which chooses one when it runs */
	if (!a->python[0] && !active_is_conda(prefix))
		return aq_fail(err, AQ_USER,
			       "the Python in '%s' is chosen when it runs (by "
			       "pyenv?): write aq freeze \"$(python3 -c 'import "
			       "sys; print(sys.prefix)')\"",
			       aq_show_path(real, show));
	return take(a, prefix,
		    active_is_conda(prefix) ? ACTIVE_CONDA : ACTIVE_OTHER, err);
}

static int take_prefix(struct active *a, const char *prefix,
		       bool only_environments, struct aq_err *err)
{
	char bin[PATH_MAX];
	int len = snprintf(bin, sizeof(bin), "%s/bin", prefix);

	if (len < 0 || (size_t)len >= sizeof(bin))
		return AQ_MISS;
	return take_bin(a, bin, only_environments, err);
}

static int take_path(struct active *a, struct aq_err *err)
{
	const char *path = getenv("PATH");

	for (; path && *path; path += *path == ':') {
		size_t len = strcspn(path, ":");
		cleanup_free char *bin = strndup(path, len);
		int rc;

		if (!bin)
			return aq_fail(err, AQ_SYS, "out of memory for PATH");
		rc = *bin == '/' ? take_bin(a, bin, false, err) : AQ_MISS;
		if (rc != AQ_MISS)
			return rc;
		path += len;
	}
	return AQ_MISS;
}

int active_find(const char *prefix, struct active *ret, struct aq_err *err)
{
	static const char *const names[] = { "VIRTUAL_ENV", "CONDA_PREFIX" };
	cleanup_active struct active a = { 0 };
	char show[AQ_SHOW_PATH_SIZE];
	int rc = prefix ? take_prefix(&a, prefix, false, err) :
			  take_path(&a, err);

	for (size_t i = 0; !prefix && i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);
		cleanup_active struct active other = { 0 };
		int rc2 = AQ_MISS;

		if (value && *value && (rc == AQ_MISS ||
					(!rc && a.kind == ACTIVE_OTHER)))
			rc2 = take_prefix(&other, value, true, err);
		if (rc2 == AQ_MISS)
			continue;
		rc = rc2;
		active_release(&a);
		a = other;
		other = (struct active){ 0 };
	}
	if (rc == AQ_MISS && prefix)
		return aq_fail(err, AQ_USER,
			       "'%s' is no environment: neither conda's nor "
			       "Python's, give the directory that has 'bin' in "
			       "it",
			       aq_show_path(prefix, show));
	if (rc == AQ_MISS)
		return aq_fail(err, AQ_USER,
			       "there is no Python and no conda environment in "
			       "PATH: activate one, or give its directory");
	if (rc)
		return rc;
	*ret = a;
	a = (struct active){ 0 };
	return 0;
}

/* -- what is in it -- */

/* The value of 'key' in pyvenv.cfg (PEP 405), malloc'ed; "" if it is not there. */
static char *cfg_value(const char *text, const char *key)
{
	for (; *text; text = aq_next_line(text)) {
		const char *at = text + strspn(text, " \t");

		if (strncasecmp(at, key, strlen(key)) != 0)
			continue;
		at += strlen(key) + strspn(at + strlen(key), " \t");
		if (*at != '=')
			continue;
		at += 1 + strspn(at + 1, " \t");
		return strndup(at, strcspn(at, " \t\r\n"));
	}
	return strdup("");
}

/* "3.11.2", "3.11.2.final.0" */
static void take_version(struct active *a, const char *text)
{
	size_t len = strspn(text, "0123456789");

	if (!len || text[len] != '.')
		return;
	len += 1 + strspn(text + len + 1, "0123456789");
	if (len < sizeof(a->python))
		snprintf(a->python, sizeof(a->python), "%.*s", (int)len, text);
}

static int read_cfg(struct active *a, struct aq_err *err)
{
	cleanup_str struct aq_str text = AQ_STR_INIT(CFG_MAX);
	cleanup_close int dir = open(a->prefix, O_RDONLY | O_DIRECTORY |
						O_CLOEXEC);
	int rc = installed_read_file(dir, "pyvenv.cfg", &text, err);
	const char *cfg = aq_str_get(&text);
	cleanup_free char *home = cfg_value(cfg, "home");
	cleanup_free char *sees = cfg_value(cfg, "include-system-site-packages");
	cleanup_free char *version = cfg_value(cfg, "version");
	cleanup_free char *info = cfg_value(cfg, "version_info");
	char base[PATH_MAX], ignored[16];

	if (rc)
		return aq_fail(err, AQ_SYS, "cannot read '%s/pyvenv.cfg'",
			       a->prefix);
	if (!home || !sees || !version || !info)
		return aq_fail(err, AQ_SYS, "out of memory for pyvenv.cfg");
	a->sees_base = strcasecmp(sees, "true") == 0;
	take_version(a, *version ? version : info);
	if (find_python(home, base, a->python[0] ? ignored : a->python))
		a->base = strdup(base);
	return 0;
}

/* ROOT/LIB/pythonVERSION/NAME. */
static int read_dir(struct installed *in, const char *root, const char *lib,
		    const char *version, const char *name, bool is_system,
		    struct aq_err *err)
{
	cleanup_free char *path = NULL;

	if (asprintf(&path, "%s/%s/python%s/%s", root, lib, version, name) < 0)
		return aq_fail(err, AQ_SYS, "out of memory for a path");
	return installed_read_python(in, path, is_system, err);
}

static int read_site(const struct active *a, struct installed *in,
		     const char *prefix, struct aq_err *err)
{
	return read_dir(in, prefix, "lib", a->python, "site-packages", false,
			err);
}

static int read_user_site(const struct active *a, struct installed *in,
			  struct aq_err *err)
{
	const char *base = getenv("PYTHONUSERBASE"), *home = getenv("HOME");
	const char *no = getenv("PYTHONNOUSERSITE");

	if (!a->sees_user || (no && *no))
		return 0;
	if (base && *base)
		return read_site(a, in, base, err);
	return home && *home ? read_dir(in, home, ".local/lib", a->python,
					"site-packages", false, err) : 0;
}

/* Of a Python that is no environment.  Below /usr the operating system's packager
 * has what is not in /usr/local.
 */
static int read_other(const struct active *a, struct installed *in,
		      const char *prefix, struct aq_err *err)
{
	bool is_system = strcmp(prefix, "/usr") == 0;
	const struct {
		const char *lib, *version, *name;
	} dirs[] = {
		{ "lib", a->python, "site-packages" },
		{ "lib64", a->python, "site-packages" },
		{ "lib", a->python, "dist-packages" },
		/* what all versions share: Debian's policy for Python */
		{ "lib", "3", "dist-packages" },
	};
	int rc = 0;

	if (is_system)
		rc = read_other(a, in, "/usr/local", err);
	for (size_t i = 0; !rc && i < ARRAY_LEN(dirs); i++)
		rc = read_dir(in, prefix, dirs[i].lib, dirs[i].version,
			      dirs[i].name, is_system, err);
	return rc;
}

/* The minor version of conda's Python. */
static void take_conda_python(struct active *a, const struct installed *in)
{
	const struct installed_package *p = installed_find(in, true, "python");

	if (p)
		take_version(a, p->version);
}

static int read_conda(struct active *a, struct installed *in, const char *prefix,
		      struct aq_err *err)
{
	int rc = installed_read_conda(in, prefix, err);

	if (rc)
		return rc;
	take_conda_python(a, in);
	if (!a->python[0])
		return 0;
	rc = read_user_site(a, in, err);
	return rc ? rc : read_site(a, in, prefix, err);
}

static int read_venv(struct active *a, struct installed *in, struct aq_err *err)
{
	int rc = read_cfg(a, err);

	if (!rc && a->python[0])
		rc = read_site(a, in, a->prefix, err);
	if (rc || !a->base || !a->sees_base)
		return rc;
	a->sees_user = true;
	if (active_is_conda(a->base))
		return read_conda(a, in, a->base, err);
	rc = read_user_site(a, in, err);
	return rc ? rc : read_other(a, in, a->base, err);
}

int active_read(struct active *a, struct installed *in, struct aq_err *err)
{
	int rc = 0;

	a->sees_user = a->kind != ACTIVE_VENV;
	switch (a->kind) {
	case ACTIVE_CONDA:
		rc = read_conda(a, in, a->prefix, err);
		break;
	case ACTIVE_VENV:
		rc = read_venv(a, in, err);
		break;
	case ACTIVE_OTHER:
		rc = read_user_site(a, in, err);
		if (!rc)
			rc = read_other(a, in, a->prefix, err);
		break;
	}
	if (!rc)
		installed_sort(in);
	return rc;
}
