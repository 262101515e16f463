/* SPDX-License-Identifier: Apache-2.0 */
#include "common/explicit.h"

#include <ctype.h>
#include <string.h>

/* -- printing -- */

/* When a package is linked: clients go by the file's order.  A noarch Python
 * package is compiled by the environment's Python, which needs its libraries.
 */
enum turn { TURN_LIBRARY, TURN_PYTHON, TURN_OTHER, N_TURNS };

static bool is_noarch(const char *url)
{
	static const char noarch[] = "/noarch";
	const size_t len = sizeof(noarch) - 1;
	const char *file = strrchr(url, '/');

	return file && (size_t)(file - url) >= len &&
	       memcmp(file - len, noarch, len) == 0;
}

/* "py39h1_0": a lock does not say what depends on what, build strings do. */
static bool is_built_for_python(const char *build)
{
	while ((build = strstr(build, "py"))) {
		build += strlen("py");
		if (isdigit((unsigned char)*build))
			return true;
	}
	return false;
}

static enum turn turn_of(const struct aq_lock_item *item)
{
	if (strcmp(item->name, "python") == 0)
		return TURN_PYTHON;
	return is_noarch(item->url) || is_built_for_python(item->build) ?
		       TURN_OTHER :
		       TURN_LIBRARY;
}

static void print_conda(const struct aq_lock *lock, const struct aq_lock *child,
			enum turn turn, struct aq_str *out)
{
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *item = &lock->items[i];

		if (item->kind == AQ_LOCK_CONDA && turn_of(item) == turn &&
		    !(child && aq_lock_find(child, item->kind, item->name)))
			aq_str_add_fmt(out, "%s#sha256:%s\n", item->url,
				       item->sha256);
	}
}

static void print_wheels(const struct aq_lock *lock,
			 const struct aq_lock *child, struct aq_str *out)
{
	for (size_t i = 0; i < lock->n_items; i++) {
		const struct aq_lock_item *item = &lock->items[i];

		if (item->kind == AQ_LOCK_WHEEL &&
		    !(child && aq_lock_find(child, item->kind, item->name)))
			aq_str_add_fmt(out, "# pip %s @ %s#sha256=%s\n",
				       item->name, item->url, item->sha256);
	}
}

void aq_explicit_print(const struct aq_lock *lock, const struct aq_lock *base,
		       struct aq_str *out)
{
	aq_str_add_fmt(out,
		       "# This file may be used to create an environment "
		       "using:\n"
		       "# $ conda create --name <env> --file <this file>\n"
		       "# platform: %s\n"
		       "@EXPLICIT\n",
		       lock->platform);
	for (int turn = 0; turn < N_TURNS; turn++) {
		if (base)
			print_conda(base, lock, (enum turn)turn, out);
		print_conda(lock, NULL, (enum turn)turn, out);
	}
	if (base)
		print_wheels(base, lock, out);
	print_wheels(lock, NULL, out);
}
